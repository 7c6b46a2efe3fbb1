"""One sentence for what pydantic found wrong with a value from outside."""

from __future__ import annotations

from pydantic import ValidationError


def first_fault(error: ValidationError) -> str:
    """Where the first fault is, what came, and what was wanted."""
    fault = error.errors(include_url=False)[0]
    where = ".".join(map(str, fault["loc"])) or "the whole"
    if fault["type"] == "missing":
        return f"{where} is missing"
    if fault["type"] == "value_error":
        return f"{where}: {fault['ctx']['error']}"
    wanted = str(fault["msg"]).replace("Input should be", "it should be", 1)
    return f"{where} is {str(fault['input'])[:40]!r}; {wanted[:1].lower()}{wanted[1:]}"
