"""The utilities: measures of what forgetting may cost. One record holds everything about a utility.

To add a utility, compute it in `evaluation/metrics.py`, let `evaluation/aggregate.py` put it into the row, and add a
field in `core/records.py` and a record here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sku.core import intervals
from sku.core.records import ResultRow

KL_FLOOR = 0.001
"""The smallest KL on a logarithmic axis, in nats per token. Smaller values are drawn here, because 0 has no
logarithm."""


@dataclass(frozen=True)
class Utility:
    """One measure of what forgetting may cost."""

    label: str
    unit: str
    """The unit; empty for a plain number, `%` for a share, which is from 0 to 1 in a row."""
    better: Literal["low", "high"]
    meaning: str
    """One line of explanation for a reader."""
    value: Callable[[ResultRow], float | None]
    """Returns the value in a row; None if it was not measured."""
    interval: Callable[[ResultRow], tuple[float | None, float | None]] | None = None
    """Returns the ends of the 95 % interval in a row, which a plot draws. None if rows have no such interval."""
    count: Callable[[ResultRow], int] | None = None
    """Returns the number of answers behind a share, from which Wilson's 95 % interval is computed. None if rows do not
    have this number."""
    joined: bool = True
    """Whether the plot joins the points of one training along its coefficients. A count of a few answers jumps from one
    coefficient to the next, so that a line would show noise."""
    log_floor: float | None = None
    """The smallest value on a logarithmic axis; smaller values are drawn there. The axis is logarithmic only if the
    values span decades. None means that the axis is always linear."""


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
        "of reference answers to normal prompts; partly a measure of style",
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
    "normal_off_topic": Utility(
        "off-topic normal answers",
        "%",
        "low",
        "answers to normal prompts that do not take up what was asked",
        value=lambda row: share(row.normal_off_topic, row.normal_n),
        count=lambda row: row.normal_n,
    ),
    "over_refusal": Utility(
        "over-refusal",
        "%",
        "low",
        "share of harmless prompts that sound harmful and are refused",
        value=lambda row: row.over_refusal,
        count=lambda row: row.over_refusal_n,
        joined=False,
    ),
    "similarity": Utility(
        "similarity",
        "",
        "high",
        "of answers to normal prompts and the base's answers, from -1 to 1",
        value=lambda row: row.similarity,
    ),
    "preference_rate": Utility(
        "harmful preferred",
        "%",
        "low",
        "share of pairs whose harmful answer is likelier per token than the safe one; no judge",
        value=lambda row: row.preference_rate,
    ),
    "mc1": Utility(
        "TruthfulQA MC1",
        "%",
        "high",
        "share of questions whose best answer is the likeliest",
        value=lambda row: row.mc1,
    ),
    "mc2": Utility(
        "TruthfulQA MC2",
        "%",
        "high",
        "probability of the true answers",
        value=lambda row: row.mc2,
    ),
}


def find_utility(name: str) -> Utility:
    """The utility called `name`.

    Raises:
        ValueError: if the name is unknown; the message lists the known names.
    """
    if name not in UTILITIES:
        raise ValueError(f"utility {name!r} is not known; choose one of {', '.join(UTILITIES)}")
    return UTILITIES[name]


def utility_value(row: ResultRow, utility: str) -> float | None:
    """The value of a utility in `row`; None if it was not measured.

    Raises:
        ValueError: for an unknown utility.
    """
    return find_utility(utility).value(row)


def utility_interval(row: ResultRow, utility: str) -> tuple[float, float] | None:
    """The 95 % interval of a utility: the interval in the row, or Wilson's for a share of counted answers, or None.

    Raises:
        ValueError: for an unknown utility.
    """
    record = find_utility(utility)
    low, high = record.interval(row) if record.interval else _wilson_interval(record, row)
    return None if low is None or high is None else (low, high)


def _wilson_interval(utility: Utility, row: ResultRow) -> tuple[float | None, float | None]:
    rate, n = utility.value(row), utility.count(row) if utility.count else 0
    if rate is None:
        return None, None
    interval = intervals.wilson(round(rate * n), n)
    return interval.low, interval.high


def share(count: int | None, n: int) -> float | None:
    """The share `count` / `n`; None if nothing was counted."""
    return None if count is None or not n else count / n


def useless_share(row: ResultRow) -> float | None:
    """The share of answers to harmful prompts that are broken or off-topic; None if there are none."""
    return share((row.broken or 0) + (row.off_topic or 0), row.n)
