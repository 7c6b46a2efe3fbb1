"""How far the arithmetics of decoding steps agree: logits, KL on own answers, texts and verdicts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from sku.core.config import DecodingConfig
from sku.models.variant_model import VariantModel
from sku.serving.bench.figures import Figure
from sku.serving.live_session import LiveSession

TOKENS = 48


def measure_agreement(
    plain: LiveSession, other: LiveSession, prompts: Sequence[str], variants: Sequence[str]
) -> list[Figure]:
    """Compare another arithmetic with fp32, on the answers that fp32 writes.

    Args:
        plain: decodes in fp32.
        other: the same base in another arithmetic.
        prompts: at least one.
        variants: who answers.
    """
    form, config = other.arithmetic, DecodingConfig(max_new_tokens=TOKENS)
    ours, theirs = ([a.text for a in s.answers(prompts, variants, config)] for s in (plain, other))
    asked = [prompt for prompt in prompts for _ in variants]
    verdicts = [
        [verdict.outcome for verdict in plain.judged(list(zip(asked, texts, strict=True)))] for texts in (ours, theirs)
    ]
    largest, divergence = 0.0, 0.0
    for prompt, text in list(zip(asked, ours, strict=True))[:: len(variants)]:  # the base's
        wanted, found = (step_log_probs(s.load(), prompt, text) for s in (plain, other))
        largest = max(largest, float((wanted - found).abs().max()))
        divergence += float((wanted.exp() * (wanted - found)).sum(-1).mean()) / len(prompts)
    same_texts = sum(one == two for one, two in zip(ours, theirs, strict=True)) / len(ours)
    same_verdicts = sum(one == two for one, two in zip(*verdicts, strict=True)) / len(ours)
    exact = form == "exact"
    bound = "at most 0.001" if exact else ""
    return [
        Figure(f"{form}: largest difference of a log-probability from fp32", largest, aim=bound),
        Figure(f"{form}: KL from fp32 on the base's own answers, nats per token", divergence, aim="at most 0.002"),
        Figure(f"{form}: equal greedy texts of {len(ours)}", 100 * same_texts, "%", aim="100 %" if exact else ""),
        Figure(f"{form}: equal verdicts", 100 * same_verdicts, "%", aim="100 %" if exact else "at least 99 %"),
    ]


@torch.no_grad()
def step_log_probs(model: VariantModel, prompt: str, text: str) -> Tensor:
    """Log-probabilities of the base while it writes `text`, one decoding step at a time: `[steps, V]`."""
    cache = DynamicCache(config=model.network.config)
    prompt_ids, answer = model.template.prompt_ids(prompt), model.template.answer_ids(text)
    found = []
    for ids in (prompt_ids, *([token] for token in answer[:-1])):
        with model.decoding_rows([{}]) as network:
            out = network(input_ids=torch.tensor([ids]), cache=cache, use_cache=True, logits_to_keep=1)
        found.append(out.logits[0, -1].float().log_softmax(-1))
    return torch.stack(found)


def figures_of(folder: Path, part: str, suffix: str) -> list[Figure]:
    """The figures of one part in the results of another run."""
    found = json.loads((folder / "performance.json").read_text(encoding="utf-8"))["parts"][part]
    return [Figure(**{**one, "what": one["what"] + suffix}) for one in found]
