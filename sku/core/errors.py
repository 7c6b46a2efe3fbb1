"""Errors that several rooms raise."""

from __future__ import annotations


class Unavailable(OSError):
    """Data that is not on this machine and could not be fetched. Its message says what can be used instead."""
