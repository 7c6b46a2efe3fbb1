"""Check values from files, links and flags against the type that they should have. Every error is one sentence."""

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
"""The most characters of a wrong value that an error message shows."""


def validate(kind: Callable[..., T], values: Any, what: str, strict: bool = True) -> T:
    """Convert `values` to the type `kind`.

    Args:
        kind: a dataclass, or any other type that pydantic can validate. The dataclass's own checks run too.
        values: plain values as in JSON. Fields that a dataclass does not have are an error.
        what: the name of the values in error messages, such as `settings`.
        strict: whether to reject text where a number is wanted, and true or false where an integer is wanted.

    Raises:
        ValueError: for the first value that does not fit, or if JSON cannot hold the values.
    """
    from pydantic import ValidationError  # slow to import, and `--help` does not need it

    try:
        text = json.dumps(values)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{what}: {_shown(values)} cannot be written as JSON ({error})") from error
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
    """The first error as a sentence that says what came and what was wanted."""
    first = error.errors(include_url=False)[0]
    if first["type"] == "value_error":  # the dataclass's own message is the most precise
        return str(first["ctx"]["error"])
    place = ".".join(map(str, first["loc"]))
    if first["type"] == "unexpected_keyword_argument":
        known = ", ".join(field.name for field in dataclasses.fields(kind)) if dataclasses.is_dataclass(kind) else ""
        return f"{what}: {place!r} is not known" + (f"; the known names are {known}" if known else "")
    if first["type"] in ("missing", "missing_argument"):
        return f"{what}: {place!r} is missing"
    message, came = str(first["msg"]), _shown(first["input"])
    wanted = message.replace("Input should be", "it must be", 1)
    wanted = wanted[:1].lower() + wanted[1:]
    return f"{what}: {place} is {came}; {wanted}" if place else f"{what} is {came}; {wanted}"


def _shown(value: Any) -> str:
    text = reprlib.repr(value) if isinstance(value, dict | list) else repr(value)  # shortens long or nested values
    return text if len(text) <= MAX_SHOWN_CHARACTERS else text[:MAX_SHOWN_CHARACTERS] + "..."
