"""Exceptions that several packages of `sku` raise."""

from __future__ import annotations


class Unavailable(OSError):
    """Data is not on this machine and could not be fetched. The message says what can be used instead."""


class OutOfMemory(OSError):
    """There is not enough memory. The message says what needs less."""


class Cancelled(Exception):
    """A long task stopped on request and saved what it had done. The message says how to continue.

    A long task takes a function `cancelled` and calls it between steps; when the function returns True, the task raises
    this exception. The command line turns it into exit code 130.
    """
