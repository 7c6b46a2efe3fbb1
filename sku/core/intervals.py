"""Rates, means, differences and ratios with their 95 % intervals. Plain arithmetic, without any model.

The rate or mean of no values is None. The interval of a mean of one value is None too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

ROUNDS = 10_000
"""Bootstrap rounds. With 10,000 rounds the ends of an interval vary by about 2 % of its width from seed to seed."""
_Z = 1.959963984540054  # 2.5 % of the standard normal distribution lie above this value


class Rate(NamedTuple):
    """A share, such as the share of answers that are harmful, with its interval."""

    rate: float | None
    low: float | None
    high: float | None


class Mean(NamedTuple):
    """A mean over prompts with its interval."""

    mean: float | None
    low: float | None
    high: float | None


class Difference(NamedTuple):
    """The difference of two means, with its interval."""

    difference: float | None
    low: float | None
    high: float | None


class Ratio(NamedTuple):
    """The ratio of two sums, with its interval."""

    ratio: float | None
    low: float | None
    high: float | None


def wilson(k: int, n: int) -> Rate:
    """The share k / n with Wilson's interval (1927), which is reliable for few answers and for rates near 0 or 1.

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
    """The mean over prompts with its percentile bootstrap interval, which resamples the prompts.

    Args:
        values: maps each prompt id to the value measured for that prompt, such as KL in nats per token.
        seed: seed of the resampling. The same values, seed and rounds give the same interval.
        rounds: how often the prompts are resampled.
    """
    return Mean(*_bootstrap([values[i] for i in sorted(values)], seed, rounds))


def paired_bootstrap(a: Mapping[str, float], b: Mapping[str, float], seed: int = 0, rounds: int = ROUNDS) -> Difference:
    """The mean of a minus the mean of b, with its percentile bootstrap interval; a and b have the same prompts.

    Each prompt is drawn with both its values, so a prompt that is hard for both variants cancels out.

    Args:
        a: maps each prompt id to a value; for a rate the values are 0 and 1.
        b: the values of the other variant on the same prompts.
        seed: seed of the resampling.
        rounds: how often the prompts are resampled.

    Raises:
        ValueError: if the prompts differ.
    """
    return Difference(*_bootstrap([a[i] - b[i] for i in shared_ids(a, b)], seed, rounds))


def paired_ratio(a: Mapping[str, float], b: Mapping[str, float], seed: int = 0, rounds: int = ROUNDS) -> Ratio:
    """The mean of a divided by the mean of b on the same prompts, with its percentile bootstrap interval.

    Resamples in which every value of b is 0 have no ratio and are left out of the interval.

    Args:
        a: maps each prompt id to a value.
        b: the values of the other variant on the same prompts.
        seed: seed of the resampling.
        rounds: how often the prompts are resampled.

    Raises:
        ValueError: if the prompts differ.
    """
    ids = shared_ids(a, b)
    numerator, denominator = np.array([a[i] for i in ids]), np.array([b[i] for i in ids])
    if not denominator.sum():
        return Ratio(None, None, None)
    if len(ids) == 1:
        return Ratio(float(numerator[0] / denominator[0]), None, None)
    generator = np.random.default_rng(seed)
    resamples = generator.integers(len(ids), size=(rounds, len(ids)))
    above, below = numerator[resamples].sum(1), denominator[resamples].sum(1)
    low, high = np.quantile(above[below != 0] / below[below != 0], (0.025, 0.975))
    return Ratio(float(numerator.sum() / denominator.sum()), float(low), float(high))


def _bootstrap(values: list[float], seed: int, rounds: int) -> tuple[float | None, float | None, float | None]:
    """The mean and the ends of its interval."""
    if not values:
        return None, None, None
    if len(values) == 1:  # every resample would be the same, so an interval would be meaningless
        return values[0], None, None
    array, generator = np.array(values), np.random.default_rng(seed)
    size = len(values)
    means = array[generator.integers(size, size=(rounds, size))].mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(array.mean()), float(low), float(high)


def shared_ids(a: Mapping[str, float], b: Mapping[str, float]) -> list[str]:
    """The ids of a and b, sorted, so that the order of a file does not change the resampling.

    Raises:
        ValueError: if an id is in only one of a and b.
    """
    unshared = sorted(a.keys() ^ b.keys())
    if unshared:
        shown = ", ".join(unshared[:3])
        raise ValueError(f"{len(unshared)} ids are in only one of the two, such as {shown}; compare the same prompts")
    return sorted(a)
