"""Settings that are environment variables with one of a few names as their value."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypeVar

_Name = TypeVar("_Name", bound=str)
_SHOWN_CHARACTERS = 40


def named_in_environment(variable: str, names: Iterable[_Name]) -> _Name | None:
    """The name that the variable holds; None if it is not set or empty.

    Raises:
        ValueError: if it holds none of `names`.
    """
    wanted, known = os.environ.get(variable, "").strip(), tuple(names)
    for name in known:
        if name == wanted:
            return name
    if wanted:
        raise ValueError(f"{variable} is {wanted[:_SHOWN_CHARACTERS]!r}; set it to {', '.join(known)}, or unset it")
    return None
