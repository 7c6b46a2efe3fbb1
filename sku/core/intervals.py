"""Rates, means, differences and ratios with their intervals. Plain arithmetic: knows no model.

Every interval is 95 %. A rate or mean of nothing is None, and so is the interval of a mean of one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

ROUNDS = 10_000
"""Bootstrap rounds. With so many, the ends of an interval vary by about 2 % of its width from seed to seed."""
_Z = 1.959963984540054  # the normal distribution has 2.5 % beyond it


class Rate(NamedTuple):
    """A share of counted things, with its interval."""

    rate: float | None
    low: float | None
    high: float | None


class Mean(NamedTuple):
    """A mean over prompts with its interval."""

    mean: float | None
    low: float | None
    high: float | None


class Difference(NamedTuple):
    """A mean minus another with the interval of the difference."""

    difference: float | None
    low: float | None
    high: float | None


class Ratio(NamedTuple):
    """A sum over another with the interval of the ratio."""

    ratio: float | None
    low: float | None
    high: float | None


def wilson(k: int, n: int) -> Rate:
    """The share k of n with Wilson's interval (1927), which is sound for few answers and for rates near 0 or 1.

    Raises:
        ValueError: if k is below 0 or above n.
    """
    if not 0 <= k <= n:
        raise ValueError(f"{k} of {n} is not a share; the count must be from 0 to {n}")
    if not n:
        return Rate(None, None, None)
    share = k / n
    middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return Rate(share, max(0.0, middle - half) if k else 0.0, min(1.0, middle + half) if k < n else 1.0)


def mean_interval(values: Mapping[str, float], seed: int = 0, rounds: int = ROUNDS) -> Mean:
    """Mean over prompts with its percentile bootstrap interval, which resamples the prompts.

    Args:
        values: prompt id to what was measured there, such as KL in nats a token.
        seed: of the resampling; the same values, seed and rounds give the same interval.
        rounds: how often the prompts are resampled.
    """
    return Mean(*_bootstrap([values[i] for i in sorted(values)], seed, rounds))


def paired_bootstrap(a: Mapping[str, float], b: Mapping[str, float], seed: int = 0, rounds: int = ROUNDS) -> Difference:
    """Mean of a minus mean of b, two variants on the same prompts, with its percentile bootstrap interval.

    Each prompt is drawn with both its values, so a prompt that is hard for both variants cancels out.

    Args:
        a: prompt id to a value; a rate comes as values 0 and 1.
        b: the same prompts under the other variant.
        seed: of the resampling.
        rounds: how often the prompts are resampled.

    Raises:
        ValueError: if the prompts differ.
    """
    return Difference(*_bootstrap([a[i] - b[i] for i in shared_ids(a, b)], seed, rounds))


def paired_ratio(a: Mapping[str, float], b: Mapping[str, float], seed: int = 0, rounds: int = ROUNDS) -> Ratio:
    """Mean of a over mean of b on the same prompts, with its percentile bootstrap interval.

    Resamples in which b is 0 everywhere have no ratio; they are left out of the interval.

    Args:
        a: prompt id to a value.
        b: the same prompts under the other variant.
        seed: of the resampling.
        rounds: how often the prompts are resampled.

    Raises:
        ValueError: if the prompts differ.
    """
    ids = shared_ids(a, b)
    above, below = np.array([a[i] for i in ids]), np.array([b[i] for i in ids])
    if not below.sum():
        return Ratio(None, None, None)
    if len(ids) == 1:
        return Ratio(float(above[0] / below[0]), None, None)
    draw = np.random.default_rng(seed)
    drawn = (draw.integers(len(ids), size=len(ids)) for _ in range(rounds))
    ratios = [above[some].sum() / below[some].sum() for some in drawn if below[some].sum()]
    low, high = np.quantile(ratios, (0.025, 0.975))
    return Ratio(float(above.sum() / below.sum()), float(low), float(high))


def _bootstrap(values: list[float], seed: int, rounds: int) -> tuple[float | None, float | None, float | None]:
    """Mean, low and high."""
    if not values:
        return None, None, None
    if len(values) == 1:  # every resample would be the same, which says nothing
        return values[0], None, None
    drawn_from, draw = np.array(values), np.random.default_rng(seed)
    size = len(values)
    means = [drawn_from[draw.integers(size, size=size)].mean() for _ in range(rounds)]
    low, high = np.quantile(means, (0.025, 0.975))
    return float(drawn_from.mean()), float(low), float(high)


def shared_ids(a: Mapping[str, float], b: Mapping[str, float]) -> list[str]:
    """The ids that both have, sorted, so that the order of a file does not change the resampling.

    Raises:
        ValueError: if an id is in one of them only.
    """
    alone = sorted(a.keys() ^ b.keys())
    if alone:
        shown = ", ".join(alone[:3])
        raise ValueError(f"{len(alone)} ids are in one of the two only, such as {shown}; compare the same prompts")
    return sorted(a)
