"""Figures of a bench, how they are taken, and how they are written as JSON and as a document. Knows no model."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from textwrap import wrap
from typing import NamedTuple

from sku.reporting.markdown_tables import markdown_table


class Taken(NamedTuple):
    """How long something took, as a median of several rounds."""

    seconds: float
    cpu_seconds: float
    """Of all threads of this process. With one thread it hardly depends on what else the machine does."""


@dataclass(frozen=True)
class Figure:
    """One measured number."""

    what: str
    value: float
    unit: str = ""
    cpu: float | None = None
    """The same in CPU time of this process, where it was taken."""
    aim: str = ""
    """What the project wants it to be."""


@dataclass(frozen=True)
class Machine:
    """Where and with what it was measured."""

    processor: str
    cores: int
    threads: int
    torch: str
    onnxruntime: str | None
    model: str
    date: str
    load: float
    """Processes that wanted to run in the last minute; far above `cores`, seconds mean little and ratios something."""


@dataclass(frozen=True)
class BenchReport:
    """All figures of one run, by part."""

    machine: Machine
    parts: Mapping[str, Sequence[Figure]]
    skipped: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Parts that could not be measured, and why."""

    def as_json(self) -> str:
        """One JSON object."""
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n"

    def as_markdown(self) -> str:
        """The document."""
        aimed = [one for figures in self.parts.values() for one in figures if one.aim]
        short = [f"- {one.what}: {_number(one.value, one.unit)} (aim: {one.aim})" for one in aimed]
        lines = ["# Performance", "", "## In short", "", *short, "", "## Machine", "", *wrap(self._about(), 150), ""]
        for title, figures in self.parts.items():
            rows = [[one.what, _number(one.value, one.unit), _number(one.cpu, one.unit), one.aim] for one in figures]
            lines += [f"## {title}", "", markdown_table(["what", "measured", "CPU time", "aim"], rows), ""]
        lines += [f"Not measured: {title} ({why})." for title, why in self.skipped.items()]
        return "\n".join(lines).rstrip() + "\n"

    def _about(self) -> str:
        here = self.machine
        library = f"onnxruntime {here.onnxruntime}" if here.onnxruntime else "no onnxruntime"
        return (
            f"Written by `python -m sku bench` on {here.date}. Model {here.model}; {here.processor}, "
            f"{here.cores} cores, {here.threads} threads; torch {here.torch}, {library}. What is compared was measured "
            "in turn in one run. Times are medians; CPU time is that of all threads of the measuring process. The load "
            f"of the machine was {here.load:.1f}: if it is far above the number of cores, read ratios and CPU time."
        )


def in_turn(rounds: int, works: Mapping[str, Callable[[], object]]) -> dict[str, Taken]:
    """Time all of `works`, one after the other in every round, so that a slow phase of the machine affects all.

    A first round that is not counted sets up what later ones reuse.
    """
    times: dict[str, list[Taken]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, work in works.items():
            taken = timed(work)
            if number:
                times[name].append(taken)
    return {name: Taken(median(t.seconds for t in ts), median(t.cpu_seconds for t in ts)) for name, ts in times.items()}


def timed(work: Callable[[], object]) -> Taken:
    """How long `work` takes."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Taken(time.perf_counter() - wall, time.process_time() - cpu)


def milliseconds(what: str, taken: Taken, parts: int = 1, aim: str = "") -> Figure:
    """A figure in milliseconds, for one of `parts` equal parts, such as tokens."""
    return Figure(what, 1000 * taken.seconds / parts, "ms", 1000 * taken.cpu_seconds / parts, aim)


def seconds(what: str, taken: Taken, aim: str = "") -> Figure:
    """A figure in seconds."""
    return Figure(what, taken.seconds, "s", taken.cpu_seconds, aim)


def ratio(what: str, one: Taken, other: Taken, aim: str = "") -> Figure:
    """How many times as long as `other` `one` took."""
    return Figure(what, one.seconds / other.seconds, "times", one.cpu_seconds / max(other.cpu_seconds, 1e-9), aim)


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    return (f"{value:.3g} {unit}" if abs(value) < 1000 else f"{value:,.0f} {unit}").strip()
