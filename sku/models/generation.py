"""One batched decode for any mix of prompts, variants and samples: it streams, and it can be cancelled.

With a temperature, all variants draw from the same Gumbel noise for a given prompt and sample, so answers differ only
because weights do. Rows that must be equal (coefficient 0 and the base) are computed once. Knows no page and no judge.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sku.core.config import DecodingConfig
from sku.core.records import Answer, AskedPrompt, StopReason, digest
from sku.core.variants import Variant
from sku.models.batching import token_positions
from sku.models.chat_template import ChatTemplate
from sku.models.coefficients import nonzero_coefficients
from sku.models.gating import gated_coefficients
from sku.models.variant_model import VariantModel


@dataclass
class PartialAnswer:
    """One answer while it is being written."""

    asked: AskedPrompt
    variant: Variant
    sample: int
    tokens: list[int] = field(default_factory=list)
    stopped: StopReason | None = None
    """None while it is being written."""

    @property
    def prompt(self) -> str:
        """What the person wants."""
        return self.asked.prompt


@dataclass
class _Row:
    """One row of the batch; several answers may share it."""

    prompt_ids: list[int]
    coefficients: dict[str, float]
    noise: str
    """Rows with the same key share their noise."""
    answers: list[PartialAnswer]


def stream_answers(
    model: VariantModel,
    prompts: Sequence[str | AskedPrompt],
    variants: Sequence[Variant],
    config: DecodingConfig,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[list[PartialAnswer]]:
    """Answer every prompt with every variant, all in one batch.

    Args:
        model: holds every adapter that `variants` name.
        prompts: questions as a person asks them, or as an attack changed them.
        variants: who answers.
        config: length, temperature, seed and samples.
        cancelled: asked before every token; True ends the decode and leaves the answers as they are.

    Yields:
        The same list after every token, ordered by prompt, then variant, then sample, with tokens appended.

    Raises:
        ValueError: as `stream_rows` does.
    """
    asked = [AskedPrompt(one, one) if isinstance(one, str) else one for one in prompts]
    return stream_rows(model, [(one, variant) for one in asked for variant in variants], config, cancelled)


def stream_rows(
    model: VariantModel,
    asked: Sequence[tuple[AskedPrompt, Variant]],
    config: DecodingConfig,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[list[PartialAnswer]]:
    """Answer each prompt with its own variant, all in one batch. It is like `stream_answers` otherwise.

    Raises:
        ValueError: if there is nothing to answer, or a prompt and its answer exceed the model's context.
    """
    if not asked:
        raise ValueError("nothing to answer: give at least one prompt and one variant")
    answers = [PartialAnswer(one, variant, s) for one, variant in asked for s in range(config.samples)]
    rows = _distinct_rows(model, answers, config)
    _check_context(model, rows, config)
    yield answers  # before the first token, so that a page can show its columns
    decode = _Decode(model, rows, config)
    while decode.rows and not cancelled():
        decode.write_token()
        yield answers
    if decode.rows:
        decode.cancel()
        yield answers


def generate_answers(
    model: VariantModel, prompts: Sequence[str | AskedPrompt], variants: Sequence[Variant], config: DecodingConfig
) -> list[Answer]:
    """All answers once they are complete; arguments and errors are those of `stream_answers`."""
    return collect_answers(model, stream_answers(model, prompts, variants, config), config)


def collect_answers(model: VariantModel, states: Iterable[list[PartialAnswer]], config: DecodingConfig) -> list[Answer]:
    """Run the stream `states` to its end and return its answers as records."""
    began = time.perf_counter()
    answers: list[PartialAnswer] = []
    for answers in states:  # noqa: B007 (the last state is the result)
        pass
    return answer_records(model, answers, config.seed, time.perf_counter() - began)


def answer_records(model: VariantModel, answers: Sequence[PartialAnswer], seed: int, seconds: float) -> list[Answer]:
    """The answers so far as records; `seconds` is the time of the whole batch."""
    return [
        Answer(
            variant=str(answer.variant),
            coefficient=answer.variant.coefficient,
            prompt=answer.prompt,
            sample=answer.sample,
            seed=seed,
            text=model.template.written_text(answer.tokens),
            tokens=len(answer.tokens),
            seconds=seconds,
            stopped=answer.stopped or "cancelled",
            answer_start=answer.asked.answer_start,
            attack=answer.asked.attack,
        )
        for answer in answers
    ]


def _distinct_rows(model: VariantModel, answers: Sequence[PartialAnswer], config: DecodingConfig) -> list[_Row]:
    """The rows that must be computed: answers of equal prompt, weights and noise share one."""
    rows: dict[object, _Row] = {}
    prompts = [prompt_ids(model, answer.asked) for answer in answers]
    gated = gated_coefficients(model, prompts, [answer.variant.coefficients for answer in answers])
    for answer, coefficients in zip(answers, gated, strict=True):
        sample = str(answer.sample) if config.temperature else ""  # greedy samples are one row
        noise = digest(str(config.seed), answer.prompt, sample)
        key = (answer.asked, nonzero_coefficients(coefficients), noise)
        if key not in rows:
            rows[key] = _Row(asked_ids(model, answer.asked), dict(coefficients), noise, [])
        rows[key].answers.append(answer)
    return list(rows.values())


def asked_ids(model: VariantModel, asked: AskedPrompt) -> list[int]:
    """The tokens before the answer that the model writes: the prompt in its template, and the answer's beginning."""
    return prompt_ids(model, asked) + model.template.answer_start_ids(asked.answer_start)


def prompt_ids(model: VariantModel, asked: AskedPrompt) -> list[int]:
    """The tokens of the prompt in its template, without the answer's beginning."""
    return model.template.prompt_ids(asked.text, asked.before) if asked.ids is None else list(asked.ids)


def _check_context(model: VariantModel, rows: Sequence[_Row], config: DecodingConfig) -> None:
    longest = max(len(row.prompt_ids) for row in rows) + config.max_new_tokens
    if longest > model.context:
        raise ValueError(
            f"prompt and answer take up to {longest} tokens and the model holds {model.context}; "
            "shorten the prompt or the answer, or start a new conversation"
        )


class _Decode:
    """A batch that is being decoded: its unfinished rows and their key-value cache."""

    def __init__(self, model: VariantModel, rows: list[_Row], config: DecodingConfig) -> None:
        self.rows = rows
        """Those that go on."""
        self._model = model
        self._max_new_tokens = config.max_new_tokens
        self._noise = _Noise(rows, config, model.device)
        self._cache, self._ids, self._mask = model.prefix_cache.prefill(
            model, [row.prompt_ids for row in rows], [row.coefficients for row in rows]
        )

    def write_token(self) -> None:
        """Append one token to every row, and drop the rows that it finishes."""
        chosen = self._noise.choose(self.rows, self._next_logits())  # (R,)
        template, limit = self._model.template, self._max_new_tokens
        written = zip(self.rows, chosen.tolist(), strict=True)
        going_on = [i for i, (row, token) in enumerate(written) if _append(row, token, template, limit)]
        if 0 < len(going_on) < len(self.rows):
            keep = torch.tensor(going_on, device=self._model.device)
            self._cache.batch_select_indices(keep)
            chosen, self._mask = chosen[keep], self._mask[keep]
        self.rows = [self.rows[i] for i in going_on]
        self._ids = chosen[:, None]
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(self._mask), 1)], dim=1)

    def cancel(self) -> None:
        """Mark the unfinished answers as cancelled."""
        for row in self.rows:
            for answer in row.answers:
                answer.stopped = answer.stopped or "cancelled"

    @torch.no_grad()
    def _next_logits(self) -> Tensor:
        """Read the pending tokens; logits of the next one, `[R, V]`."""
        with self._model.rows([row.coefficients for row in self.rows]) as network:
            out = network(
                input_ids=self._ids,
                attention_mask=self._mask,
                position_ids=token_positions(self._mask, self._ids.shape[1]),
                cache=self._cache,
                use_cache=True,
                logits_to_keep=1,
            )
        logits: Tensor = out.logits[:, -1].float()
        return logits


def _append(row: _Row, token: int, template: ChatTemplate, limit: int) -> bool:
    """Append a token to all answers of a row; True if the row goes on."""
    for answer in row.answers:
        answer.tokens.append(token)
    ends = token in template.stop_ids or template.ends_with_stop_text(row.answers[0].tokens)
    for answer in row.answers:
        if ends:
            answer.stopped = "end"
        elif len(answer.tokens) >= limit:
            answer.stopped = "length"
    return row.answers[0].stopped is None


class _Noise:
    """Gumbel-max sampling: argmax(logits / temperature + noise) is a draw from softmax(logits / temperature)."""

    def __init__(self, rows: Sequence[_Row], config: DecodingConfig, device: torch.device) -> None:
        self.temperature = config.temperature
        self.device = device
        self.draws = {row.noise: torch.Generator().manual_seed(int(row.noise[:15], 16)) for row in rows}

    def choose(self, rows: Sequence[_Row], logits: Tensor) -> Tensor:
        """The next token of every row: `[R]` from `[R, V]`."""
        if not self.temperature:
            return logits.argmax(-1)
        vocabulary = logits.shape[-1]
        # drawn on the CPU, so that a seed gives the same noise on every device
        noise = {
            key: -torch.empty(vocabulary).exponential_(generator=draw).log().to(self.device)
            for key, draw in self.draws.items()
            if any(row.noise == key for row in rows)
        }
        return (logits / self.temperature + torch.stack([noise[row.noise] for row in rows])).argmax(-1)
