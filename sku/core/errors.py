"""Errors that several rooms raise."""

from __future__ import annotations


class Unavailable(OSError):
    """Data that is not on this machine and could not be fetched. Its message says what can be used instead."""


class Cancelled(Exception):
    """Long work was asked to stop, kept what it had, and stopped. Its message says how to continue.

    Long work takes a callable `cancelled` and asks it between steps; once it answers True, the work raises this. The
    command line turns it into exit code 130.
    """
