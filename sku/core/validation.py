"""Values from outside (files, links, flags) against the type that they should have. Errors are one sentence."""

from __future__ import annotations

import dataclasses
import json
import reprlib
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")
MAX_SHOWN_CHARACTERS = 40
"""Of a bad value in an error."""


def validate(kind: Callable[..., T], values: Any, what: str, strict: bool = True) -> T:
    """`values` as a `kind`.

    Args:
        kind: a dataclass, whose own checks run too, or any type that pydantic knows.
        values: plain values as JSON has them; a dataclass takes no unknown field.
        what: names the values in the error, such as `settings`.
        strict: refuse text for a number and a truth value for an integer.

    Raises:
        ValueError: for the first value that does not fit, or values that JSON cannot hold.
    """
    from pydantic import ValidationError  # slow to import; `--help` need not pay

    try:
        text = json.dumps(values)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{what}: {_shown(values)} are no plain values ({error})") from error
    try:
        adapter: TypeAdapter[T] = _adapter(kind)
        return adapter.validate_json(text, strict=strict, extra="forbid")
    except ValidationError as error:
        raise ValueError(_sentence(error, kind, what)) from error


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _sentence(error: ValidationError, kind: Any, what: str) -> str:
    """The first fault: what came, and what was wanted."""
    first = error.errors(include_url=False)[0]
    if first["type"] == "value_error":  # raised by the dataclass itself, which says it best
        return str(first["ctx"]["error"])
    place = ".".join(map(str, first["loc"]))
    if first["type"] == "unexpected_keyword_argument":
        known = ", ".join(field.name for field in dataclasses.fields(kind)) if dataclasses.is_dataclass(kind) else ""
        return f"{what}: {place!r} is not known" + (f"; known are {known}" if known else "")
    if first["type"] in ("missing", "missing_argument"):
        return f"{what}: {place!r} is missing"
    wanted = first["msg"].removeprefix("Input should be ")
    came = _shown(first["input"])
    return f"{what}: {place} is {came}; it must be {wanted}" if place else f"{what}: {came} came; it must be {wanted}"


def _shown(value: Any) -> str:
    text = reprlib.repr(value) if isinstance(value, dict | list) else repr(value)  # the first few, and no deeper
    return text if len(text) <= MAX_SHOWN_CHARACTERS else text[:MAX_SHOWN_CHARACTERS] + "..."
