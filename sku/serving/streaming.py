"""Several variants' answers to one prompt while they are written, one column each."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sku.core.config import DecodingConfig
from sku.core.conversation import Conversation
from sku.core.records import Answer, AskedPrompt
from sku.core.variants import Variant

if TYPE_CHECKING:
    from sku.models.decode_request import PartialAnswer
    from sku.models.running_batch import RunningBatch
    from sku.models.variant_model import VariantModel

MAX_UPDATES_PER_SECOND = 15


@dataclass(frozen=True)
class ColumnState:
    """One variant's column of a comparison: an answer, or why there is none."""

    name: str
    answer: Answer | None
    """The first sample."""
    writing: bool = False
    """Whether more of the answer is to come."""
    error: str | None = None
    samples: tuple[Answer, ...] = ()
    """All samples once every one is written; until then only the first."""
    seconds: float = 0.0
    """From the start of the batch to the end of the first sample."""
    doing: str = ""
    """What is done before the first token is written; empty if nothing is."""


def stream_columns(
    model: VariantModel,
    prompt: str | AskedPrompt,
    variants: Sequence[tuple[str, Variant | str]],
    config: DecodingConfig,
    cancelled: Callable[[], bool] = lambda: False,
    before: Sequence[Conversation] = (),
    batch: RunningBatch | None = None,
) -> Iterator[list[ColumnState]]:
    """Write the answers in one batch. A variant that does not exist fills its column with an error and stops no other.

    Args:
        model: holds every adapter that `variants` name.
        prompt: the question, as a person asks it or as an attack changed it.
        variants: name, and the variant or why there is none.
        config: length, temperature, seed and samples.
        cancelled: asked before every token.
        before: the conversation of each variant; empty if none has one.
        batch: decodes the answers together with those of other callers; None: they have a batch of their own.

    Yields:
        One column a variant, about 15 times a second.

    Raises:
        ValueError: as `generation.stream_rows` does.
    """
    from sku.models import generation

    asked = AskedPrompt(prompt, prompt) if isinstance(prompt, str) else prompt
    own = [dataclasses.replace(asked, before=one) for one in before] or [asked] * len(variants)
    good = [(one, variant) for one, (_, variant) in zip(own, variants, strict=True) if isinstance(variant, Variant)]
    if not good:
        yield [ColumnState(name, None, error=str(error)) for name, error in variants]
        return
    began, shown = time.perf_counter(), 0.0
    ended: dict[int, float] = {}
    for rows in generation.stream_rows(model, good, config, cancelled, batch):
        now = time.perf_counter()
        groups = [rows[i : i + config.samples] for i in range(0, len(rows), config.samples)]
        for i, group in enumerate(groups):
            if group[0].stopped is not None:
                ended.setdefault(i, now - began)
        writing = any(row.stopped is None for row in rows)
        if writing and now - shown < 1 / MAX_UPDATES_PER_SECOND:
            continue
        shown = now
        seconds = [ended.get(i, now - began) for i in range(len(groups))]
        yield _columns(model, variants, groups, seconds, config.seed, writing, now - began)


def _columns(
    model: VariantModel,
    variants: Sequence[tuple[str, Variant | str]],
    groups: Sequence[Sequence[PartialAnswer]],
    seconds: Sequence[float],
    seed: int,
    writing: bool,
    elapsed: float,
) -> list[ColumnState]:
    """One column a variant; `groups` and `seconds` hold an entry for each variant that exists."""
    from sku.models import generation

    found, columns = iter(zip(groups, seconds, strict=True)), []
    for name, variant in variants:
        if not isinstance(variant, Variant):
            columns.append(ColumnState(name, None, error=variant))
            continue
        group, spent = next(found)
        answers = generation.answer_records(model, group[:1] if writing else group, seed, elapsed)
        columns.append(ColumnState(name, answers[0], group[0].stopped is None, None, tuple(answers), spent))
    return columns
