"""Which result rows form one line of the trade-off plot, and where a slider's coefficient is on it. Knows no plotly."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from sku.core.records import ResultRow
from sku.core.variants import BASE, VariantSpec, parse_variant
from sku.reporting.pareto import base_row
from sku.reporting.utilities import find_utility, utility_value

MIN_RATIO_FOR_LOG_AXIS = 30.0
"""The largest over the smallest value; an axis with a larger ratio becomes logarithmic."""


class CostAxis(NamedTuple):
    """The axis of one utility."""

    utility: str
    logarithmic: bool
    floor: float
    """On a logarithmic axis smaller values are drawn here."""

    def place(self, number: float) -> float:
        """Where a value is drawn."""
        return max(number, self.floor) if self.logarithmic else number

    def of(self, row: ResultRow) -> float | None:
        """Where a row is drawn; None if it did not measure the utility."""
        number = utility_value(row, self.utility)
        return None if number is None else self.place(number)

    def between(self, one: float, other: float, part: float) -> float:
        """The point at `part` (0 to 1) of the line that is drawn from one value to the other."""
        if self.logarithmic:
            return math.exp((1 - part) * math.log(one) + part * math.log(other))
        return (1 - part) * one + part * other


def cost_axis(rows: Iterable[ResultRow], utility: str) -> CostAxis:
    """A logarithmic axis for a utility that has a `log_floor` and spans decades, else a linear one.

    Raises:
        ValueError: for an unknown utility.
    """
    numbers = [number for row in rows if (number := utility_value(row, utility)) is not None]
    floor = find_utility(utility).log_floor
    if floor is None or not numbers:
        return CostAxis(utility, False, 0.0)
    placed = [max(number, floor) for number in numbers]
    return CostAxis(utility, min(placed) > 0 and max(placed) / min(placed) > MIN_RATIO_FOR_LOG_AXIS, floor)


def coefficient_lines(rows: Sequence[ResultRow]) -> list[list[ResultRow]]:
    """Lines along the coefficient of one training, and along the steps of one whose checkpoints were measured.

    Every line begins at the base, which is coefficient 0 and step 0, where `rows` has it. A row may be on two lines:
    the end of a training is both.
    """
    trained = [row for row in rows if row.method != BASE]
    along = _grouped(trained, lambda row: (*_training(row), row.run, row.steps))
    lines = [line for line in along if len(line) > 1]
    lone = [line[0] for line in along if len(line) == 1]
    for group in _grouped(trained, lambda row: (*_training(row), row.coefficient)):
        checkpoints = [row for row in group if row in lone]
        one_training = len({row.steps for row in group}) == len(group)
        if checkpoints:
            lines += [group] if one_training else [[row] for row in checkpoints]
    ordered = [sorted(line, key=lambda row: (row.coefficient or 0.0, row.steps or 0)) for line in lines]
    return [[*_begin(line[0], rows), *line] for line in ordered]


def point_on_line(text: str, rows: Sequence[ResultRow], by: CostAxis) -> tuple[float, float, bool] | None:
    """Where a variant stands: drawn utility, harmful rate, and whether it was measured itself.

    Between two measured coefficients it is on the straight line; beyond them, or for a name without rows, None.
    """
    spec = parse_variant(text)
    part = spec.only_part
    at = (part.coefficient if part else None) or 0.0
    for line in [[row] for row in rows if row.method == BASE] + coefficient_lines(rows):
        named = [row for row in line if _same_line(parse_variant(row.variant), spec)]
        if not named:
            continue
        points = _points([*(row for row in line if row.method == BASE and row not in named), *named], by)
        found = _measured(at, points) or _between(at, points, by)
        if found:
            return found
    return None


def _same_line(one: VariantSpec, other: VariantSpec) -> bool:
    """Whether two variants differ at most in the coefficient of their one adapter; sums must be equal."""
    first, second = one.only_part, other.only_part
    if first is None or second is None:
        return one == other
    return (first.name, first.acquired) == (second.name, second.acquired)


def _points(rows: Sequence[ResultRow], by: CostAxis) -> list[tuple[float, float, float]]:
    """Coefficient, drawn utility and harmful rate of the rows that have them."""
    points = [(row.coefficient or 0.0, by.of(row), row.harmful_rate) for row in rows]
    return [(at, x, y) for at, x, y in points if x is not None and y is not None]


def _measured(coefficient: float, points: Sequence[tuple[float, float, float]]) -> tuple[float, float, bool] | None:
    return next(((x, y, True) for at, x, y in points if math.isclose(at, coefficient, abs_tol=1e-9)), None)


def _between(
    coefficient: float, points: Sequence[tuple[float, float, float]], by: CostAxis
) -> tuple[float, float, bool] | None:
    for (low, x, y), (high, next_x, next_y) in pairwise(points):
        if low < coefficient < high:
            part = (coefficient - low) / (high - low)
            return by.between(x, next_x, part), (1 - part) * y + part * next_y, False
    return None


def _training(row: ResultRow) -> tuple[Hashable, ...]:
    summed = row.variant if row.coefficient is None else None  # sums have no coefficient in common to draw along
    return row.model, row.side, row.attack, row.method, row.preservation, row.seed, summed


def _grouped(rows: Iterable[ResultRow], key: Callable[[ResultRow], Hashable]) -> list[list[ResultRow]]:
    groups: dict[Hashable, list[ResultRow]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return list(groups.values())


def _begin(row: ResultRow, rows: Sequence[ResultRow]) -> list[ResultRow]:
    base = base_row(row, rows)
    return [base] if base else []
