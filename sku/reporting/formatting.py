"""How numbers are written: shares in percent, intervals, units and changes. The only place that decides it.

An unknown number is a dash. Knows no result row and no figure.
"""

from __future__ import annotations

UNKNOWN = "-"


def percent(rate: float | None, digits: int = 0) -> str:
    """A share of 0 to 1 as text: `12 %`."""
    return UNKNOWN if rate is None else f"{100 * rate:.{digits}f} %"


def percent_with_interval(rate: float | None, low: float | None, high: float | None, digits: int = 0) -> str:
    """A share with its interval: `12 % (8 to 18)`; the share alone where the interval is unknown."""
    return percent(rate, digits) + _in_brackets(percent_range(low, high, digits))


def percent_range(low: float | None, high: float | None, digits: int = 0) -> str:
    """The ends of a share's interval in percent, without the sign: `8 to 18`; empty where they are unknown."""
    return "" if low is None or high is None else f"{100 * low:.{digits}f} to {100 * high:.{digits}f}"


def percent_number(rate: float | None) -> float | None:
    """A share in percent as a number with one decimal, for a table that sorts its columns."""
    return None if rate is None else round(100 * rate, 1)


def with_unit(number: float | None, unit: str = "") -> str:
    """A number with its unit: `0.0848 nats per token`. The unit `%` is for shares, which come as 0 to 1."""
    if number is None:
        return UNKNOWN
    return percent(number) if unit == "%" else f"{number:.3g} {unit}".strip()


def with_interval(number: float | None, low: float | None, high: float | None, unit: str = "") -> str:
    """A number with unit and interval: `0.0848 nats per token (0.0486 to 0.134)`."""
    if unit == "%":
        return percent_with_interval(number, low, high)
    between = "" if low is None or high is None else f"{low:.3g} to {high:.3g}"
    return with_unit(number, unit) + _in_brackets(between)


def points(change: float | None, low: float | None = None, high: float | None = None) -> str:
    """A difference of two shares in percentage points, with its interval: `-21 points (-27 to -15)`."""
    if change is None:
        return UNKNOWN
    return f"{100 * change:+.0f} points" + _in_brackets(percent_range(low, high))


def fixed(number: float | None, digits: int) -> str:
    """A number with so many decimals, for a column whose points stand under each other."""
    return UNKNOWN if number is None else f"{number:.{digits}f}"


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""
