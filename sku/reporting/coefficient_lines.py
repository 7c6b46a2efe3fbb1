"""Group result rows into the lines of the trade-off plot, and find the place of a coefficient on a line.

This module does not import plotly.
"""

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
"""An axis becomes logarithmic if the ratio of its largest to its smallest value exceeds this."""


class CostAxis(NamedTuple):
    """The axis of one utility."""

    utility: str
    logarithmic: bool
    floor: float
    """A logarithmic axis shows smaller values at this value."""

    def place(self, number: float) -> float:
        """The position at which a value is drawn."""
        return max(number, self.floor) if self.logarithmic else number

    def of(self, row: ResultRow) -> float | None:
        """The position at which a row is drawn; None if the utility was not measured in it."""
        number = utility_value(row, self.utility)
        return None if number is None else self.place(number)

    def between(self, one: float, other: float, part: float) -> float:
        """The position at `part` (0 to 1) of the line that is drawn from one value to the other."""
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
    """The lines of the plot: along the coefficients of a training, and along the steps of its checkpoints.

    If `rows` contains the base, every line begins there, because the base is coefficient 0 and step 0. The end of a
    training may be on both of its lines.
    """
    trained = [row for row in rows if row.method != BASE]
    runs = _grouped(trained, lambda row: (*_training_key(row), row.run, row.steps))
    lines = [run for run in runs if len(run) > 1]
    single_rows = [run[0] for run in runs if len(run) == 1]
    for group in _grouped(trained, lambda row: (*_training_key(row), row.coefficient)):
        checkpoints = [row for row in group if row in single_rows]
        one_training = len({row.steps for row in group}) == len(group)
        if checkpoints:
            lines += [group] if one_training else [[row] for row in checkpoints]
    ordered = [sorted(line, key=lambda row: (row.coefficient or 0.0, row.steps or 0)) for line in lines]
    return [[*_base_of(line[0], rows), *line] for line in ordered]


def point_on_line(text: str, rows: Sequence[ResultRow], axis: CostAxis) -> tuple[float, float, bool] | None:
    """The point of a variant in the plot: drawn utility, harmful rate, and whether the point was measured.

    Between two measured coefficients, the point is on the straight line that joins them. The result is None beyond the
    measured coefficients, and for a name without rows.
    """
    spec = parse_variant(text)
    part = spec.only_part
    coefficient = (part.coefficient if part else None) or 0.0
    for line in [[row] for row in rows if row.method == BASE] + coefficient_lines(rows):
        named = [row for row in line if _same_line(parse_variant(row.variant), spec)]
        if not named:
            continue
        points = _points([*(row for row in line if row.method == BASE and row not in named), *named], axis)
        point = _measured_point(coefficient, points) or _interpolated_point(coefficient, points, axis)
        if point:
            return point
    return None


def _same_line(one: VariantSpec, other: VariantSpec) -> bool:
    """Whether two variants of one adapter differ at most in its coefficient, or two sums are equal."""
    first, second = one.only_part, other.only_part
    if first is None or second is None:
        return one == other
    return (first.name, first.acquired) == (second.name, second.acquired)


def _points(rows: Sequence[ResultRow], axis: CostAxis) -> list[tuple[float, float, float]]:
    """The coefficient, drawn utility and harmful rate of every row that has them."""
    points = [(row.coefficient or 0.0, axis.of(row), row.harmful_rate) for row in rows]
    return [(coefficient, x, y) for coefficient, x, y in points if x is not None and y is not None]


def _measured_point(
    coefficient: float, points: Sequence[tuple[float, float, float]]
) -> tuple[float, float, bool] | None:
    return next(((x, y, True) for measured, x, y in points if math.isclose(measured, coefficient, abs_tol=1e-9)), None)


def _interpolated_point(
    coefficient: float, points: Sequence[tuple[float, float, float]], axis: CostAxis
) -> tuple[float, float, bool] | None:
    for (low, x, y), (high, next_x, next_y) in pairwise(points):
        if low < coefficient < high:
            part = (coefficient - low) / (high - low)
            return axis.between(x, next_x, part), (1 - part) * y + part * next_y, False
    return None


def _training_key(row: ResultRow) -> tuple[Hashable, ...]:
    sum_text = row.variant if row.coefficient is None else None  # sums share no coefficient, so each stands alone
    return row.model, row.side, row.attack, row.method, row.preservation, row.seed, sum_text


def _grouped(rows: Iterable[ResultRow], key: Callable[[ResultRow], Hashable]) -> list[list[ResultRow]]:
    groups: dict[Hashable, list[ResultRow]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return list(groups.values())


def _base_of(row: ResultRow, rows: Sequence[ResultRow]) -> list[ResultRow]:
    base = base_row(row, rows)
    return [base] if base else []
