"""Give 10,000 generated inputs to every reader: no error but a sentence of the project, no hang, no growth of memory.

Run: `python -m tests.faults.bad_input`. Prints one line per reader and the faults that were found.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from hypothesis import HealthCheck, Phase, given, seed, settings

from sku.core.errors import MAX_LINE_CHARACTERS, error_line
from tests.faults.page_input import SETTINGS, PageFault, page_reader
from tests.faults.pico_files import write_pico_files
from tests.faults.public_page import public_page
from tests.faults.readers import Reader, all_readers

ROOT = Path(__file__).parents[2]
MAX_SECONDS = 5.0
MAX_GROWTH_BYTES = 32 << 20
"""How far memory may be above that after the first half of the inputs."""


SHARE_OF_PAGE = 0.15
"""The share of the inputs that are calls of the running page."""


class Hang(BaseException):
    """An input took longer than `MAX_SECONDS`."""


@dataclass
class Outcome:
    """What became of the inputs of one reader."""

    inputs: int = 0
    read: int = 0
    refused: int = 0
    slowest: float = 0.0
    growth: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    examples: dict[str, Any] = field(default_factory=dict)

    def add_fault(self, text: str, example: object) -> None:
        """Count a fault; the first input that caused it is kept."""
        self.faults[text] += 1
        self.examples.setdefault(text, example)


def run_reader(reader: Reader, inputs: int, process: int | None = None) -> Outcome:
    """Give a reader its inputs. The memory is that of `process`, by default this one."""
    outcome, memory = Outcome(), psutil.Process(process)
    half = [0]

    @seed(0)
    @settings(
        max_examples=inputs,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(reader.inputs)
    def try_one(example: Any) -> None:
        outcome.inputs += 1
        if outcome.inputs == inputs // 2:
            gc.collect()
            half[0] = memory.memory_info().rss
        _try(reader, example, outcome)

    try_one()
    gc.collect()
    outcome.growth = memory.memory_info().rss - (half[0] or memory.memory_info().rss)
    if outcome.growth > MAX_GROWTH_BYTES:
        outcome.add_fault(f"memory grew by {outcome.growth >> 20} MiB", None)
    return outcome


def _try(reader: Reader, example: Any, outcome: Outcome) -> None:
    began = time.perf_counter()
    try:
        with _time_limit(MAX_SECONDS):
            reader.read(example)
        outcome.read += 1
    except Hang:
        outcome.add_fault(f"took longer than {MAX_SECONDS:g} s", example)
    except Exception as error:
        if fault := fault_of(error):
            outcome.add_fault(fault, example)
        else:
            outcome.refused += 1
    outcome.slowest = max(outcome.slowest, time.perf_counter() - began)


def fault_of(error: Exception) -> str | None:
    """What is wrong with an error; None if it is one sentence that the project itself wrote."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(last.filename).name}:{last.lineno}"
    if isinstance(error, PageFault):
        return f"the page: {error}"
    if isinstance(error, RuntimeError) and place.startswith("page_input.py"):
        return None  # the page refused the call, and said why
    text, ours = error_line(error), Path(last.filename).is_relative_to(ROOT / "sku")
    if isinstance(error, RecursionError) or not isinstance(error, ValueError | OSError | RuntimeError):
        return f"{type(error).__name__} from {place}: {text[:80]}"
    if isinstance(error, OSError) and text != " ".join(str(error).split()):
        return None  # of the system, with advice
    if not ours or isinstance(error, UnicodeError):
        return f"the library's own {type(error).__name__} from {place}: {text[:80]}"
    if not str(error).strip() or len(text) > MAX_LINE_CHARACTERS:
        return f"not one sentence, from {place}: {text[:80]!r}"
    return None


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run_page(folder: Path, inputs: int) -> Outcome:
    """Calls of the running page."""
    files = write_pico_files(folder)
    with public_page(files.base, folder / "page", **SETTINGS) as page:
        outcome = run_reader(page_reader(page), inputs, page.process.pid)
        _print("calls of the page", outcome)
    return outcome


def run_all(folder: Path, inputs: int, only: str = "") -> dict[str, Outcome]:
    """All readers, which share `inputs` by their weight."""
    warnings.simplefilter("ignore")  # libraries warn about the damage
    np.seterr(all="ignore")
    os.environ["SKU_HOME"] = str(folder / "home")
    readers = [one for one in all_readers(write_pico_files(folder), folder / "inputs") if only in one.name]
    total = sum(one.share for one in readers) or 1
    found = {}
    for one in readers:
        found[one.name] = run_reader(one, max(2, round(inputs * one.share / total)))
        _print(one.name, found[one.name])
    return found


def _print(name: str, outcome: Outcome) -> None:
    print(
        f"{name:<32}{outcome.inputs:>6} inputs, {outcome.read:>5} read, {outcome.refused:>5} refused, slowest "
        f"{outcome.slowest:.2f} s, memory {outcome.growth / 2**20:+.1f} MiB, faults {sum(outcome.faults.values())}",
        flush=True,
    )
    for fault, count in outcome.faults.most_common():
        print(f"    {count} x {fault}\n        such as {outcome.examples[fault]!r:.300}", flush=True)


def main() -> None:
    """Run and print; exit code 1 if there was a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--only", default="", help="only readers whose name contains this")
    parser.add_argument("--no-page", action="store_true", help="leave out the calls of the running page")
    given_flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = run_all(Path(folder), round(given_flags.inputs * (1 - SHARE_OF_PAGE)), given_flags.only)
        if given_flags.only in "calls of the page" and not given_flags.no_page:
            found["page"] = run_page(Path(folder) / "public", round(given_flags.inputs * SHARE_OF_PAGE))
    faults = sum(sum(outcome.faults.values()) for outcome in found.values())
    inputs = sum(outcome.inputs for outcome in found.values())
    print(f"{inputs} inputs to {len(found)} readers, {faults} faults")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
