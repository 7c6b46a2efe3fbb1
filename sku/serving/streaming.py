"""Several variants' answers to one prompt as they stream, a column each; one that fails leaves the others alive."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sku.core.config import DecodingConfig
from sku.core.records import Answer
from sku.core.variants import Variant

if TYPE_CHECKING:
    from sku.models.variant_model import VariantModel

_UPDATES = 15  # a second, at most


@dataclass(frozen=True)
class ColumnState:
    """One variant's part of a comparison: an answer, or why there is none."""

    name: str
    answer: Answer | None
    """The first sample."""
    writing: bool = False
    """Whether more of the answer is to come."""
    error: str | None = None
    samples: tuple[Answer, ...] = ()
    """All answers once they are written; before, the first one alone."""
    seconds: float = 0.0
    """From the beginning of the batch to the end of the first sample."""


def stream_columns(
    model: VariantModel,
    prompt: str,
    variants: Sequence[tuple[str, Variant | str]],
    config: DecodingConfig,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[list[ColumnState]]:
    """Write the answers in one batch.

    Args:
        model: holds every adapter that `variants` name.
        prompt: the question.
        variants: name, and the variant or why there is none.
        config: length, temperature, seed and samples.
        cancelled: asked before every token.

    Yields:
        One column a variant, about 15 times a second.

    Raises:
        ValueError: as `generation.stream_answers` does.
    """
    from sku.models import generation

    good = [variant for _, variant in variants if isinstance(variant, Variant)]
    if not good:
        yield [ColumnState(name, None, error=str(fault)) for name, fault in variants]
        return
    began, shown = time.perf_counter(), 0.0
    ended: dict[int, float] = {}
    for writings in generation.stream_answers(model, [prompt], good, config, cancelled):
        now = time.perf_counter()
        groups = [writings[i : i + config.samples] for i in range(0, len(writings), config.samples)]
        for place, group in enumerate(groups):
            if group[0].stopped is not None:
                ended.setdefault(place, now - began)
        going = any(writing.stopped is None for writing in writings)
        if going and now - shown < 1 / _UPDATES:
            continue
        shown = now
        made = []
        for place, group in enumerate(groups):
            answers = generation.answer_records(model, group[:1] if going else group, config.seed, now - began)
            spent = ended.get(place, now - began)
            made.append((answers[0], group[0].stopped is None, None, tuple(answers), spent))
        parts = iter(made)
        yield [
            ColumnState(name, *next(parts)) if isinstance(variant, Variant) else ColumnState(name, None, error=variant)
            for name, variant in variants
        ]
