"""The data source `self`: the base's own greedy answers to the prompts of another source, generated once and cached.

Staying close to the base on the base's own answers preserves skill; a data set's terse answers would preserve style
instead. The base's own answers to harmful prompts are what it must learn not to say. Knows no adapter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from sku.core.config import DecodingConfig
from sku.core.jsonl import read_json_lines, write_json_lines
from sku.core.records import PromptPair
from sku.core.storage import home
from sku.core.variants import BASE, Variant
from sku.data import SELF
from sku.models.generation import generate_answers
from sku.models.variant_model import VariantModel

PROMPTS_PER_BATCH = 32


def prompts_of_self(spec: str) -> str | None:
    """For `self` or `self:SOURCE`, the source whose prompts the base answers; None for any other source."""
    name, _, source = spec.partition(":")
    return (source or "bundled") if name == SELF else None


def write_base_answers(
    model: VariantModel,
    pairs: Sequence[PromptPair],
    max_new_tokens: int,
    report: Callable[[int, int], None] = lambda _done, _all: None,
) -> list[PromptPair]:
    """Replace the answers of `pairs` by the base's own greedy ones; the order stays, empty answers are left out.

    Args:
        model: answers as the base.
        pairs: give the prompts.
        max_new_tokens: the longest answer.
        report: called after each batch with the number of prompts answered and the number of all to answer.

    Raises:
        ValueError: if a prompt and its answer exceed the model's context.
    """
    path = _cache_file(model, max_new_tokens)
    known = _read_cache(path)
    missing = sorted({pair.prompt for pair in pairs} - set(known), key=lambda prompt: (len(prompt), prompt))
    for start in range(0, len(missing), PROMPTS_PER_BATCH):
        chunk = missing[start : start + PROMPTS_PER_BATCH]
        answers = generate_answers(model, chunk, [Variant(BASE, 0.0)], DecodingConfig(max_new_tokens=max_new_tokens))
        known |= {written.prompt: written.text for written in answers}
        _write_cache(path, known)
        report(min(start + PROMPTS_PER_BATCH, len(missing)), len(missing))
    return [replace(pair, answer=known[pair.prompt], source=SELF) for pair in pairs if known[pair.prompt].strip()]


def _cache_file(model: VariantModel, max_new_tokens: int) -> Path:
    return home() / "self" / f"{model.fingerprint}-{max_new_tokens}.jsonl"


def _read_cache(path: Path) -> dict[str, str]:
    lines = read_json_lines(path) if path.is_file() else ()
    return {line.values["prompt"]: line.values["answer"] for line in lines}


def _write_cache(path: Path, answers: dict[str, str]) -> None:
    write_json_lines(path, ({"prompt": prompt, "answer": text} for prompt, text in answers.items()))
