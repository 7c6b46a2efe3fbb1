"""What is known about the threads that compute: how they wait for each other, and how many the page last chose.

Knows no torch, so that `python -m sku models` can show it at once.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from sku.core.storage import home, write_atomically

WAITING_VARIABLE = "OMP_WAIT_POLICY"
"""OpenMP reads it when torch is imported, so `app.py` and the command line set it to PASSIVE before. A thread that has
nothing to do then sleeps; an active one spins and takes the processor from a training or a neighbour."""
SPINNING_VARIABLE = "GOMP_SPINCOUNT"
"""How often an idle thread looks for work before it sleeps, where torch comes with GNU's OpenMP (Linux). `app.py` sets
it to `SPINS`, the command line to `command_spins()`."""
SPINS = "3000"
"""About the time between two products of a decoding step. Without a neighbour two threads are then 1.2 to 1.6 times
faster than one; with one they are slower, and the page goes back to one (`serving/thread_chooser.py`)."""


@dataclass(frozen=True)
class ThreadChoice:
    """How many threads a page computes with, and what that was measured by."""

    threads: int
    most: int
    """The number that torch would use by itself."""
    seconds_per_token: dict[int, float] = field(default_factory=dict)
    """By number of threads, for three rows of the base."""
    measured: float = 0.0
    """Unix time."""


_CHOICE = TypeAdapter(ThreadChoice)


def waiting() -> str:
    """How idle threads wait in this process: passive, active, or the default of the OpenMP library."""
    return os.environ.get(WAITING_VARIABLE, "").lower() or "the library's default"


def command_spins() -> str:
    """How often idle threads of a command look for work: not at all if something else computed in the last minute.

    A command cannot go back to one thread as the page does.
    """
    try:
        load = os.getloadavg()[0]
    except (OSError, AttributeError):  # Windows has none
        return "0"
    return SPINS if load < (os.cpu_count() or 1) / 2 else "0"


def command_environment() -> dict[str, str]:
    """The environment of a command that the page starts: its idle threads sleep at once, because both compute."""
    return {**os.environ, WAITING_VARIABLE: "PASSIVE", SPINNING_VARIABLE: "0"}


def last_choice() -> ThreadChoice | None:
    """What the page on this machine last chose; None if it has chosen nothing yet."""
    try:
        return _CHOICE.validate_json(choice_file().read_bytes())
    except (OSError, ValueError):
        return None


def remember_choice(choice: ThreadChoice) -> None:
    """Keep a choice, for `last_choice`. In a home that cannot be written to, nothing is kept."""
    with suppress(OSError):
        choice_file().parent.mkdir(parents=True, exist_ok=True)
        write_atomically(choice_file(), _CHOICE.dump_json(choice, indent=2).decode() + "\n")


def choice_file() -> Path:
    """Where the choice is kept."""
    return home() / "threads.json"
