"""The utilities of a result row: what forgetting may cost. One record says everything about one of them.

To add a utility, compute it in `evaluation/metrics.py`, give it a field in `core/records.py` and a record here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sku.core import intervals
from sku.core.records import ResultRow

KL_FLOOR = 0.001
"""Nats per token. A logarithmic axis shows smaller KLs here, because 0 has no logarithm."""


@dataclass(frozen=True)
class Utility:
    """One thing that forgetting may cost."""

    label: str
    unit: str
    """Empty for a plain number; `%` for a share, which rows hold as 0 to 1."""
    better: Literal["low", "high"]
    meaning: str
    """One line for a reader."""
    value: Callable[[ResultRow], float | None]
    """The number in a row; None where it was not measured."""
    interval: Callable[[ResultRow], tuple[float | None, float | None]] | None = None
    """The ends of the 95 % interval, where rows hold them; a plot draws them."""
    count: Callable[[ResultRow], int] | None = None
    """The answers that a share is of, where rows hold their number; gives Wilson's 95 % interval."""
    log_floor: float | None = None
    """A value for an axis that becomes logarithmic when values span decades; smaller values are drawn there. None: the
    axis is always linear."""


UTILITIES = {
    "kl": Utility(
        "KL from base",
        "nats per token",
        "low",
        "on the base's own answers to normal prompts; 0 is the base",
        value=lambda row: row.kl,
        interval=lambda row: (row.kl_low, row.kl_high),
        log_floor=KL_FLOOR,
    ),
    "perplexity": Utility(
        "perplexity",
        "",
        "low",
        "of reference answers to normal prompts; partly measures style",
        value=lambda row: row.perplexity,
        log_floor=0.0,
    ),
    "own_perplexity": Utility(
        "perplexity of base's answers",
        "",
        "low",
        "of the base's own answers to normal prompts",
        value=lambda row: row.own_perplexity,
        log_floor=0.0,
    ),
    "answer_perplexity": Utility(
        "perplexity under base",
        "",
        "low",
        "of the variant's answers to harmful prompts, as the base sees them",
        value=lambda row: row.answer_perplexity,
        log_floor=0.0,
    ),
    "normal_broken": Utility(
        "broken normal answers",
        "%",
        "low",
        "answers to normal prompts that are broken",
        value=lambda row: share(row.normal_broken, row.normal_n),
        count=lambda row: row.normal_n,
    ),
    "over_refusal": Utility(
        "over-refusal",
        "%",
        "low",
        "harmless prompts that only sound harmful, refused",
        value=lambda row: row.over_refusal,
        count=lambda row: row.over_refusal_n,
    ),
    "similarity": Utility(
        "similarity",
        "",
        "high",
        "of answers to normal prompts to the base's, -1 to 1",
        value=lambda row: row.similarity,
    ),
    "preference_rate": Utility(
        "harmful preferred",
        "%",
        "low",
        "pairs whose harmful answer is likelier, a token, than the safe one; no judge",
        value=lambda row: row.preference_rate,
    ),
    "mc1": Utility(
        "TruthfulQA MC1",
        "%",
        "high",
        "questions whose best answer is the likeliest",
        value=lambda row: row.mc1,
    ),
    "mc2": Utility(
        "TruthfulQA MC2",
        "%",
        "high",
        "probability on the true answers",
        value=lambda row: row.mc2,
    ),
}


def find_utility(name: str) -> Utility:
    """The utility called `name`.

    Raises:
        ValueError: if there is none.
    """
    if name not in UTILITIES:
        raise ValueError(f"utility {name!r} is not known; choose one of {', '.join(UTILITIES)}")
    return UTILITIES[name]


def utility_value(row: ResultRow, utility: str) -> float | None:
    """What `row` measured of a utility; None if it did not.

    Raises:
        ValueError: for an unknown utility.
    """
    return find_utility(utility).value(row)


def utility_interval(row: ResultRow, utility: str) -> tuple[float, float] | None:
    """The 95 % interval of a utility: the one in the row, or Wilson's for a share of counted answers; None if neither.

    Raises:
        ValueError: for an unknown utility.
    """
    found = find_utility(utility)
    low, high = found.interval(row) if found.interval else _wilson_interval(found, row)
    return None if low is None or high is None else (low, high)


def _wilson_interval(utility: Utility, row: ResultRow) -> tuple[float | None, float | None]:
    rate, n = utility.value(row), utility.count(row) if utility.count else 0
    if rate is None:
        return None, None
    counted = intervals.wilson(round(rate * n), n)
    return counted.low, counted.high


def share(count: int | None, n: int) -> float | None:
    """`count` of `n`; None where nothing was counted."""
    return None if count is None or not n else count / n
