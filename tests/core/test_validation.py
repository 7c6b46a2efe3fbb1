"""Values from outside against their type: one sentence says what came and what was wanted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest

from sku.core.validation import MAX_SHOWN_CHARACTERS, validate


@dataclass(frozen=True)
class Point:
    x: float
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("x is below 0")


def test_values_that_fit_become_the_record() -> None:
    assert validate(Point, {"x": 1, "names": ["a", "b"]}, "point") == Point(1.0, ("a", "b"))
    assert validate(int, "3", "count", strict=False) == 3


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"x": "1"}, "^point: x is '1'; it must be a valid number$"),
        ({"x": True}, "^point: x is True; it must be a valid number$"),
        ({"x": 1, "names": ["a", 2]}, r"^point: names\.1 is 2; it must be a valid string$"),
        ({"x": 1, "y": 2}, "^point: 'y' is not known; the known names are x, names$"),
        ({}, "^point: 'x' is missing$"),
        ({"x": -1}, "^x is below 0$"),
        (5, "^point is 5; it must be"),
        ({"x": object()}, "^point: .* cannot be written as JSON"),
    ],
)
def test_the_first_fault_is_said_in_one_sentence(values: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        validate(Point, values, "point")


def test_a_long_value_is_cut_in_the_error() -> None:
    with pytest.raises(ValueError, match="point: x is") as caught:
        validate(Point, {"x": "y" * 5000}, "point")
    assert len(str(caught.value)) < MAX_SHOWN_CHARACTERS + 60


def test_nesting_without_end_is_an_error_and_no_crash() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValueError, match="cannot be written as JSON"):
        validate(Point, {"x": deep}, "point")


def test_a_number_that_is_not_finite_is_for_the_record_to_refuse() -> None:
    assert math.isinf(validate(Point, {"x": math.inf}, "point").x)
