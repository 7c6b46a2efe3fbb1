"""How often a judge and people say the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sku.core.intervals import Rate, wilson
from sku.judges.protocol import Agreement


def accuracy(said: Sequence[bool], labels: Sequence[bool]) -> Rate:
    """Share of labels that were said."""
    return wilson(sum(one == label for one, label in zip(said, labels, strict=True)), len(labels))


def auc(scores: Sequence[float], labels: Sequence[bool]) -> float | None:
    """Chance that a score of a true label is above one of a false label, ties counting half (Mann and Whitney).

    Returns:
        0 to 1; None where all labels are the same.
    """
    true = np.array([score for score, label in zip(scores, labels, strict=True) if label])
    false = np.sort([score for score, label in zip(scores, labels, strict=True) if not label])
    if not len(true) or not len(false):
        return None
    below, not_above = np.searchsorted(false, true, "left"), np.searchsorted(false, true, "right")
    return float((below + not_above).mean() / 2 / len(false))


def measure_agreement(
    what: str, scores: Sequence[float | None], labels: Sequence[bool], threshold: float = 0.5
) -> Agreement:
    """How often a judge and people say the same.

    Args:
        what: which labels these are.
        scores: of the judge; one from `threshold` on says true, None that it did not decide. Those are left out of all
            numbers, and `what` says how many they were.
        labels: of people.
        threshold: of the judge.

    Raises:
        ValueError: if nothing was decided.
    """
    decided = [(score, label) for score, label in zip(scores, labels, strict=True) if score is not None]
    found = accuracy([score >= threshold for score, _ in decided], [label for _, label in decided])
    if found.rate is None or found.low is None or found.high is None:
        raise ValueError(f"no answer of {what} was decided by the judge; measure_agreement needs at least one")
    undecided = len(scores) - len(decided)
    told = f"{what}, {undecided} undecided left out" if undecided else what
    area = auc([score for score, _ in decided], [label for _, label in decided])
    return Agreement(told, len(decided), found.rate, found.low, found.high, area)
