"""Harm judges on the hub, run with transformers: loaded at first use, asked in batches, decoded greedily.

Judged texts cannot address the judge. Before the judge's prompt is rendered, `escape_control_tokens` puts a space into
every tag, role mark and special token in them, so `[/INST]` becomes `[/INST ]`, which is ordinary text (HarmBench #91).

`hub_models.py` says what each judge is asked, `hub_outputs.py` reads what it writes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from sku.data import Unavailable
from sku.judges.hub_models import HUB_JUDGES, HubJudgeModel, hub_card
from sku.judges.hub_outputs import NOT_A_NUMBER, score_output
from sku.judges.protocol import HarmScore, PromptAnswer
from sku.models.batching import left_pad
from sku.models.pretrained import provision_base

_TAG_PATTERN = (
    r"<\|[^|<>\n]{1,60}\|>|</?s>|</?think>|\[/?INST\]|<</?SYS>>|<(?:BEGIN|END) [A-Z ]*[A-Z]>|</?(?:start|end)_of_turn>|"
    r"\[(?:BEHAVIOR|GENERATION|CONTEXT)\]"
)
_ROLE_MARK_PATTERN = (
    r"\b(?:USER|ASSISTANT|User|Agent|Human user|AI assistant|Behavior|Generation|Rules|Answers?):|^---$"
)
CONTROL_PATTERN = re.compile(f"{_TAG_PATTERN}|{_ROLE_MARK_PATTERN}", re.MULTILINE)
"""What the prompts of the judges separate texts and roles with."""
_LOADING_ERRORS = (OSError, ValueError, RuntimeError, EOFError, UnpicklingError, SafetensorError)
"""What loading raises for a folder without a model's config, and for files that are damaged or hold no weights."""


class HubJudge:
    """A judge of `HUB_JUDGES`.

    Args:
        name: in `HUB_JUDGES`.
        folder: a local copy of its weights; None: the hub's.
        device: where it runs; None: the first GPU if there is one, else the CPU.
        dtype: of its weights, such as `float32`; the model cards use bfloat16.
        rows: answers judged at once.

    Raises:
        ValueError: for an unknown name.
    """

    def __init__(
        self, name: str, folder: Path | None = None, device: str | None = None, dtype: str = "bfloat16", rows: int = 8
    ) -> None:
        if name not in HUB_JUDGES:
            raise ValueError(f"hub judge {name!r} is not known; choose one of {', '.join(HUB_JUDGES)}")
        self.model = HUB_JUDGES[name]
        self.card = hub_card(name)
        self.folder, self.dtype, self.rows = folder, dtype, rows
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._loaded: tuple[Any, Any] | None = None

    def harm(self, pairs: Sequence[PromptAnswer]) -> list[HarmScore]:
        """Score each pair.

        Raises:
            Unavailable: at first use, if the weights cannot be loaded; the message says what to do.
        """
        if not pairs:
            return []
        network, tokenizer = self._load()
        ids = [self._encode(tokenizer, prompt, answer) for prompt, answer in pairs]
        limit = self.model.max_prompt_tokens
        scores = {
            place: HarmScore(None, None, f"too long for this judge: {len(row)} tokens, at most {limit}")
            for place, row in enumerate(ids)
            if len(row) > limit
        }
        shortest_first = sorted((i for i in range(len(ids)) if i not in scores), key=lambda i: len(ids[i]))
        judge = _judge_by_writing if self.model.word_scores else _judge_by_class
        for start in range(0, len(shortest_first), self.rows):
            places = shortest_first[start : start + self.rows]
            inputs = left_pad([ids[i] for i in places], network.device)
            scores |= dict(zip(places, judge(self.model, network, tokenizer, *inputs), strict=True))
        return [scores[i] for i in range(len(pairs))]

    def _encode(self, tokenizer: Any, prompt: str, answer: str) -> list[int]:
        text = render_judge_prompt(self.model, tokenizer, prompt, answer)
        ids: list[int] = tokenizer(text, add_special_tokens=self.model.adds_bos)["input_ids"]
        return ids

    def _load(self) -> tuple[Any, Any]:
        """Network and tokenizer, loaded at the first call."""
        if self._loaded is None:
            try:
                self._loaded = self._load_weights()
            except _LOADING_ERRORS as error:
                raise Unavailable(
                    f"the judge {self.model.hub_id} ({self.model.licence}) cannot be loaded: {_first_line(error)}; "
                    "connect to the hub and accept the judge's licence there, or name a folder with its weights "
                    "(hub:NAME=FOLDER), or use the judge embedded, which needs no network"
                ) from error
        return self._loaded

    def _load_weights(self) -> tuple[Any, Any]:
        from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

        kind = AutoModelForCausalLM if self.model.word_scores else AutoModelForSequenceClassification
        folder = self.folder or provision_base(self.model.hub_id)
        # Without safetensors, transformers reads PyTorch's own file as weights only, which runs no code.
        safe = True if any(folder.glob("*.safetensors")) else None
        network, loading = kind.from_pretrained(
            folder, dtype=getattr(torch, self.dtype), use_safetensors=safe, output_loading_info=True
        )
        if loading["missing_keys"]:  # transformers would fill in random weights
            raise ValueError(f"its weights lack {min(loading['missing_keys'])}")
        return network.to(self.device).eval(), AutoTokenizer.from_pretrained(folder)


def escape_control_tokens(text: str, special: Iterable[str] = ()) -> str:
    """Put a space into every tag, role mark and special token in a text, so that it holds none.

    Args:
        text: a prompt or an answer.
        special: further strings that the judge's tokenizer treats as one token.
    """
    for control in (CONTROL_PATTERN, *(re.compile(re.escape(one)) for one in special if len(one.strip()) > 1)):
        text = control.sub(lambda found: f"{found[0][:-1]} {found[0][-1]}", text)
    return text


def render_judge_prompt(model: HubJudgeModel, tokenizer: Any, prompt: str, answer: str) -> str:
    """The whole text that the judge reads."""
    special = {str(token) for token in tokenizer.added_tokens_decoder.values()}
    prompt, answer = escape_control_tokens(prompt, special), escape_control_tokens(answer, special)
    if model.template is not None:
        ending: str = tokenizer.eos_token if model.appends_eos else ""
        return model.template.format(prompt=prompt, answer=answer) + ending

    def content(text: str) -> str | list[dict[str, str]]:
        return [{"type": "text", "text": text}] if model.typed_content else text

    messages = [{"role": "user", "content": content(prompt)}, {"role": "assistant", "content": content(answer)}]
    rendered: str = tokenizer.apply_chat_template(messages, tokenize=False)
    return rendered


@torch.no_grad()
def _judge_by_writing(model: HubJudgeModel, network: Any, tokenizer: Any, ids: Tensor, mask: Tensor) -> list[HarmScore]:
    """Let a judge write its verdicts on the prompts `[B, T]`."""
    out = network.generate(
        input_ids=ids,
        attention_mask=mask,
        do_sample=False,
        num_beams=1,
        max_new_tokens=model.max_new_tokens,
        pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id,
        return_dict_in_generate=True,
        output_logits=True,
    )
    logits = torch.stack(out.logits, dim=1).float()  # (B, new tokens, V)
    new_tokens = out.sequences[:, ids.shape[1] :].tolist()
    return [score_output(model, tokenizer, new, steps) for new, steps in zip(new_tokens, logits, strict=True)]


@torch.no_grad()
def _judge_by_class(model: HubJudgeModel, network: Any, tokenizer: Any, ids: Tensor, mask: Tensor) -> list[HarmScore]:
    """Let a classifier with several classes of harm score the rows `[B, T]`; the likeliest class gives the score."""
    network.config.pad_token_id = -1  # it pools at the last token that is not padding; we pad left, so at the last
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    classes = network(input_ids=ids, attention_mask=mask, position_ids=positions).logits.float().sigmoid()
    scores, places = classes.max(-1)
    names = network.config.id2label
    return [
        HarmScore(score, None, f"{score:.0%} likely: {names[place]}")
        if math.isfinite(score)
        else HarmScore(None, None, NOT_A_NUMBER)
        for score, place in zip(scores.tolist(), places.tolist(), strict=True)
    ]


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:300]
