"""The source `self`: the base's own greedy answers to the prompts of another source, made once and cached.

Keeping the model close to base on what base itself says measures and preserves skill, where a data set's terse answers
would measure style. Its own answers to harmful prompts are what it must forget to say. Knows no adapter.
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

_ROWS = 32  # prompts a batch


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
    """The pairs with the base's own greedy answers in place of theirs, in the same order.

    Args:
        model: its base answers.
        pairs: whose prompts are answered; prompts too long for the model raise, as in `generation.stream_answers`.
        max_new_tokens: of an answer.
        report: called with prompts done and prompts to do.
    """
    path = _cache(model, max_new_tokens)
    known = _read(path)
    missing = sorted({pair.prompt for pair in pairs} - set(known), key=lambda prompt: (len(prompt), prompt))
    for start in range(0, len(missing), _ROWS):
        chunk = missing[start : start + _ROWS]
        answers = generate_answers(model, chunk, [Variant(BASE, 0.0)], DecodingConfig(max_new_tokens=max_new_tokens))
        known |= {written.prompt: written.text for written in answers}
        _write(path, known)
        report(min(start + _ROWS, len(missing)), len(missing))
    return [replace(pair, answer=known[pair.prompt], source=SELF) for pair in pairs if known[pair.prompt].strip()]


def _cache(model: VariantModel, max_new_tokens: int) -> Path:
    return home() / "self" / f"{model.fingerprint}-{max_new_tokens}.jsonl"


def _read(path: Path) -> dict[str, str]:
    lines = read_json_lines(path) if path.is_file() else ()
    return {line.values["prompt"]: line.values["answer"] for line in lines}


def _write(path: Path, known: dict[str, str]) -> None:
    write_json_lines(path, ({"prompt": prompt, "answer": text} for prompt, text in known.items()))
