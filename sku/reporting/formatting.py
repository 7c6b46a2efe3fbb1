"""Format numbers as text: shares in percent, intervals, units and changes. All rooms use these functions.

An unknown number is a dash. Nothing here depends on result rows or figures.
"""

from __future__ import annotations

UNKNOWN = "-"


def percent(rate: float | None, digits: int = 0) -> str:
    """A share from 0 to 1 as text: `12 %`."""
    return UNKNOWN if rate is None else f"{100 * rate:.{digits}f} %"


def percent_with_interval(rate: float | None, low: float | None, high: float | None, digits: int = 0) -> str:
    """A share with its interval: `12 % (8 to 18)`. If the interval is unknown, the share alone."""
    return percent(rate, digits) + _in_brackets(percent_range(low, high, digits))


def percent_range(low: float | None, high: float | None, digits: int = 0) -> str:
    """The ends of a share's interval in percent, without the percent sign: `8 to 18`. Empty if they are unknown."""
    return "" if low is None or high is None else f"{100 * low:.{digits}f} to {100 * high:.{digits}f}"


def percent_number(rate: float | None) -> float | None:
    """A share in percent, as a number with one decimal. Tables that sort their columns need numbers."""
    return None if rate is None else round(100 * rate, 1)


def with_unit(number: float | None, unit: str = "") -> str:
    """A number with its unit: `0.0848 nats per token`. With the unit `%`, the number is a share from 0 to 1."""
    if number is None:
        return UNKNOWN
    return percent(number) if unit == "%" else f"{number:.3g} {unit}".strip()


def with_interval(number: float | None, low: float | None, high: float | None, unit: str = "") -> str:
    """A number with its unit and interval: `0.0848 nats per token (0.0486 to 0.134)`."""
    if unit == "%":
        return percent_with_interval(number, low, high)
    interval = "" if low is None or high is None else f"{low:.3g} to {high:.3g}"
    return with_unit(number, unit) + _in_brackets(interval)


def points(change: float | None, low: float | None = None, high: float | None = None) -> str:
    """A difference of two shares in percentage points, with its interval: `-21 points (-27 to -15)`."""
    if change is None:
        return UNKNOWN
    return f"{100 * change:+.0f} points" + _in_brackets(percent_range(low, high))


def fixed(number: float | None, digits: int) -> str:
    """A number with a fixed number of decimals, so that the decimal points of a column are aligned."""
    return UNKNOWN if number is None else f"{number:.{digits}f}"


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""
