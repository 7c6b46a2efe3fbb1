"""How often a judge agrees with labels: accuracy with its interval, and area under the ROC curve. Knows no judge."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sku.core.intervals import Rate, wilson
from sku.judges.protocol import Agreement


def accuracy(predicted: Sequence[bool], labels: Sequence[bool]) -> Rate:
    """Share of labels that were predicted, with its Wilson interval."""
    return wilson(sum(one == label for one, label in zip(predicted, labels, strict=True)), len(labels))


def auc(scores: Sequence[float], labels: Sequence[bool]) -> float | None:
    """Probability that a random positive scores above a random negative, ties counting half (Mann and Whitney).

    Returns:
        0 to 1; None where all labels are the same.
    """
    positives = np.array([score for score, label in zip(scores, labels, strict=True) if label])
    negatives = np.sort([score for score, label in zip(scores, labels, strict=True) if not label])
    if not len(positives) or not len(negatives):
        return None
    below = np.searchsorted(negatives, positives, "left")
    not_above = np.searchsorted(negatives, positives, "right")
    return float((below + not_above).mean() / 2 / len(negatives))


def measure_agreement(
    what: str, scores: Sequence[float | None], labels: Sequence[bool], threshold: float = 0.5
) -> Agreement:
    """How often a judge agrees with labels.

    Args:
        what: which labels these are.
        scores: of the judge; from `threshold` on a score says true. None means that the judge could not decide: such
            answers are left out of all numbers, and `what` says how many they were.
        labels: the truth.
        threshold: of the judge.

    Raises:
        ValueError: if the judge decided nothing.
    """
    decided = [(score, label) for score, label in zip(scores, labels, strict=True) if score is not None]
    agreed = accuracy([score >= threshold for score, _ in decided], [label for _, label in decided])
    if agreed.rate is None or agreed.low is None or agreed.high is None:
        raise ValueError(f"the judge decided no answer of {what}; agreement needs at least one")
    undecided = len(scores) - len(decided)
    described = f"{what}, {undecided} undecided left out" if undecided else what
    area = auc([score for score, _ in decided], [label for _, label in decided])
    return Agreement(described, len(decided), agreed.rate, agreed.low, agreed.high, area)
