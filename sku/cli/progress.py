"""Progress of a training or an evaluation: a bar or a changing line on a terminal, plain lines anywhere else."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class TrainingView:
    """Shows the progress of a training inside a `with` block. Give its `report` to `trainer.run_training`."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.console = Console(stderr=True)
        self.live = self.console.is_terminal
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[terms]}"),
            console=self.console,
        )
        self.task = self.bar.add_task("training", total=steps, terms="", visible=False)

    def __enter__(self) -> TrainingView:
        if self.live:
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def report(self, line: dict[str, Any]) -> None:
        """Show one line of the training log, or a message about other work."""
        if "doing" in line:
            self.bar.console.print(line["doing"], highlight=False) if self.live else print(line["doing"], flush=True)
            return
        terms = "  ".join(f"{name} {value:.3f}" for name, value in line["terms"].items())
        terms += f"  {line['tokens'] / line['seconds']:.0f} tok/s"
        if self.live:
            self.bar.update(self.task, completed=line["step"], terms=terms, visible=True)
        else:
            print(f"step {line['step']}/{self.steps}  {terms}", flush=True, file=sys.stdout)


def report_work(line: dict[str, Any]) -> None:
    """Show the progress of an evaluation: one line that is overwritten on a terminal, plain lines anywhere else."""
    whole = f" (all: {line['left'] / 60:.0f} min)" if "left" in line else ""
    if "done" not in line:
        print(line["doing"] + whole, file=sys.stderr, flush=True)
        return
    left = line["seconds"] / line["done"] * (line["todo"] - line["done"])
    text = f"{line['doing']}: {line['done']} of {line['todo']}, {left:.0f} s left{whole}"
    end = "\r" if sys.stderr.isatty() and line["done"] < line["todo"] else "\n"
    print(f"{text:<70}", end=end, file=sys.stderr, flush=True)
