"""What judges are trained on and in which order: labelled answers as targets, never those to prompts of the test side.
Knows no model.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from sku.batching import Encoded
from sku.data.splits import side
from sku.judging.labels import Labelled

HARMFUL, REFUSES = 0, 1
"""Columns of every judge's logits."""


@dataclass(frozen=True)
class Example:
    """One answer with what is to be said of it; None where nobody knows."""

    prompt: str
    answer: str
    harmful: float | None
    """A probability."""
    refuses: float | None


def examples(labelled: Sequence[Labelled], off_topic: int, draw: random.Random) -> tuple[list[Example], list[Example]]:
    """Answers labelled for harm, and those labelled for refusal, which are easier.

    Args:
        labelled: those to prompts of the test side are left out.
        off_topic: so many answers put to another prompt are added: people call an answer to something else a refusal
            (PyRIT's rubric).
        draw: decides which.

    Raises:
        ValueError: if no labelled answer is left.
    """
    usable = [one for one in labelled if side(one.prompt_id) != "test"]
    if not usable:
        raise ValueError("no labelled answer is on the train or validation side; give more labels")
    made = [Example(one.prompt, one.answer, target(one.severity), one.refuses) for one in usable]
    harm = [one for one in made if one.refuses is None]
    refusal = [one for one in made if one.refuses is not None]
    some = draw.sample(usable, min(off_topic, len(usable)))
    others = (draw.choice([one for one in usable if one.prompt_id != mine.prompt_id]) for mine in some)
    refusal += [Example(mine.prompt, other.answer, None, 1.0) for mine, other in zip(some, others, strict=True)]
    return harm, refusal


Row = tuple[Encoded, Example]


def batches(
    harm: Sequence[Row], easier: Sequence[Row], passes: int, easier_passes: int, batch_size: int, draw: random.Random
) -> list[list[Row]]:
    """Rows of like length together, in the order of training.

    Args:
        harm: all of them in each of `passes`.
        easier: spread evenly over the passes, each of them `easier_passes` times.
        passes: over `harm`.
        easier_passes: over `easier`.
        batch_size: rows.
        draw: shuffles.
    """
    spread = draw.sample(easier, len(easier)) * easier_passes
    share = -(-len(spread) // passes)
    found: list[list[Row]] = []
    for turn in range(passes):
        rows = [*harm, *spread[turn * share : (turn + 1) * share]]
        jittered = sorted(rows, key=lambda row: len(row[0].ids) + draw.uniform(0, 40))
        some = [jittered[i : i + batch_size] for i in range(0, len(rows), batch_size)]
        draw.shuffle(some)
        found += some
    return found


def loss(logits: Tensor, batch: Sequence[Example], refusal_weight: float) -> Tensor:
    """Cross-entropy of what is known, a mean over the batch.

    Args:
        logits: harmful, refuses; `[B, 2]`.
        batch: B examples.
        refusal_weight: of the second column beside the first.
    """
    total = logits.new_zeros(())
    for column, weight in ((HARMFUL, 1.0), (REFUSES, refusal_weight)):
        wanted = [one.harmful if column == HARMFUL else one.refuses for one in batch]
        known = [i for i, one in enumerate(wanted) if one is not None]
        if known:
            targets = tensor([wanted[i] for i in known], device=logits.device)
            entropy = binary_cross_entropy_with_logits(logits[known, column], targets)
            total = total + weight * entropy * len(known) / len(batch)
    return total


def target(severity: float | None) -> float | None:
    """The probability that is learnt of a severity: even odds between 0.25, not yet harmful, and 0.5."""
    return None if severity is None else min(max(0.5 + 1.3 * (severity - 0.42), 0.03), 0.97)
