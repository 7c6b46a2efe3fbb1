"""Exceptions that several packages of `sku` raise."""

from __future__ import annotations

import errno
from pathlib import Path

_ADVICE = {
    errno.ENOSPC: "the disk is full; free some space, or set SKU_HOME or TMPDIR to a folder on another disk",
    errno.EDQUOT: "your quota on this disk is used up; free some space, or set SKU_HOME or TMPDIR to another disk",
    errno.EROFS: "the disk can only be read; name a folder on another one",
    errno.EACCES: "the file or folder may not be used by this account; change its rights or name another one",
    errno.EFBIG: "a file may not grow any larger here; raise the limit (ulimit -f), or name another disk",
    errno.EISDIR: "it is a folder; name a file",
    errno.ENOTDIR: "a part of the path is a file; name another path",
    errno.ENAMETOOLONG: "the name is too long; name a shorter one",
}
"""What a person can do about an error of the system."""


MAX_LINE_CHARACTERS = 1000
"""The longest error message. A message may say back a name or a value from outside, which can be of any length."""
_KEPT_END_CHARACTERS = 350
"""How much of the end of a longer message is kept: the end says what to do."""


def error_line(error: BaseException) -> str:
    """An error as one line: what happened to which file, and what to do about it."""
    if isinstance(error, OSError) and error.errno in _ADVICE:
        place = f"{Path(str(error.filename))}: " if error.filename else ""
        return shorten_line(f"{place}{_ADVICE[error.errno]}")
    return shorten_line(" ".join(str(error).split()) or type(error).__name__)


def shorten_line(text: str) -> str:
    """The text, without its middle if it is longer than `MAX_LINE_CHARACTERS`."""
    if len(text) <= MAX_LINE_CHARACTERS:
        return text
    return f"{text[: MAX_LINE_CHARACTERS - _KEPT_END_CHARACTERS - 5]} ... {text[-_KEPT_END_CHARACTERS:]}"


class Unavailable(OSError):
    """Data is not on this machine and could not be fetched. The message says what can be used instead."""


class OutOfMemory(OSError):
    """There is not enough memory. The message says what needs less."""


class Cancelled(Exception):
    """A long task stopped on request and saved what it had done. The message says how to continue.

    A long task takes a function `cancelled` and calls it between steps; when the function returns True, the task raises
    this exception. The command line turns it into exit code 130.
    """
