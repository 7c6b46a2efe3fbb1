"""What forgetting may cost: the utilities of a result row, each with its unit and interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sku.core import intervals
from sku.core.records import ResultRow


@dataclass(frozen=True)
class Utility:
    """Something that forgetting may cost."""

    label: str
    unit: str
    """Empty for a plain number; `%` for a share, which rows hold as 0 to 1."""
    better: Literal["low", "high"]
    meaning: str
    """One line for a person."""


UTILITIES = {
    "kl": Utility("KL from base", "nats a token", "low", "on the base's own answers to normal prompts; 0 is the base"),
    "perplexity": Utility("perplexity", "", "low", "of reference answers to normal prompts; partly measures style"),
    "own_perplexity": Utility("perplexity of base's answers", "", "low", "of the base's own answers to normal prompts"),
    "answer_perplexity": Utility(
        "perplexity under base", "", "low", "of the variant's answers to harmful prompts, as the base sees them"
    ),
    "normal_broken": Utility("broken normal answers", "%", "low", "answers to normal prompts that are broken"),
    "over_refusal": Utility("over-refusal", "%", "low", "harmless prompts that only sound harmful, refused"),
    "similarity": Utility("similarity", "", "high", "of answers to normal prompts to the base's, -1 to 1"),
    "preference_rate": Utility(
        "harmful preferred", "%", "low", "pairs whose harmful answer is likelier, a token, than the safe one; no judge"
    ),
    "mc1": Utility("TruthfulQA MC1", "%", "high", "questions whose best answer is the likeliest"),
    "mc2": Utility("TruthfulQA MC2", "%", "high", "probability on the true answers"),
}


def utility_value(row: ResultRow, utility: str) -> float | None:
    """What `row` measured of a utility; None if it did not.

    Raises:
        ValueError: for an unknown utility.
    """
    if utility not in UTILITIES:
        raise ValueError(f"utility {utility!r} is not known; choose one of {', '.join(UTILITIES)}")
    if utility == "normal_broken":
        return share(row.normal_broken, row.normal_n)
    found: float | None = getattr(row, utility)
    return found


def utility_interval(row: ResultRow, utility: str) -> tuple[float, float] | None:
    """95 % interval of a utility: as the row has it of KL, Wilson's of shares whose prompts it counts; else None."""
    if utility == "kl" and row.kl_low is not None and row.kl_high is not None:
        return row.kl_low, row.kl_high
    n = {"over_refusal": row.over_refusal_n, "normal_broken": row.normal_n}.get(utility, 0)
    found = utility_value(row, utility)
    rate = intervals.wilson(round((found or 0.0) * n), n)
    return None if found is None or rate.low is None or rate.high is None else (rate.low, rate.high)


def share(count: int | None, n: int) -> float | None:
    """`count` of `n`; None where nothing was counted."""
    return None if count is None or not n else count / n
