"""Runs the parts of a bench and writes `performance.json` and `performance.md`."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from sku.core.storage import write_atomically
from sku.data import load_pairs
from sku.data.splits import split
from sku.models.arithmetic import ARITHMETICS, onnxruntime_version
from sku.models.matmul_choice import processor_name, torch_version
from sku.serving.bench import parts
from sku.serving.bench.figures import BenchReport, Figure, Machine
from sku.serving.bench.forms import measure_agreement
from sku.serving.bench.parts import BenchSettings


def measure_forms(settings: BenchSettings) -> list[Figure]:
    """The arithmetics beside fp32, on test prompts of the bundled set."""
    plain = settings.session()
    pairs = [pair for kind in ("harmful", "normal") for pair in split(load_pairs("bundled", kind).pairs, "test")]
    prompts = [pair.prompt for pair in pairs[:: max(1, len(pairs) // settings.prompts)]][: settings.prompts]
    columns = settings.columns(plain)
    figures: list[Figure] = []
    for form in ARITHMETICS[1:]:
        other = settings.session(form)
        if other.arithmetic == form:
            settings.say(f"agreement of {form} with fp32 on {len(prompts)} prompts")
            figures += measure_agreement(plain, other, prompts, columns)
    if not figures:
        raise ValueError("this needs onnxruntime and a base whose weights lie on a 4-bit grid")
    return figures


PARTS: dict[str, Callable[[BenchSettings], list[Figure]]] = {
    "decoding": parts.measure_decoding,
    "arithmetics": measure_forms,
    "serving": parts.measure_serving,
    "start": parts.measure_start,
    "judge": parts.measure_judge,
    "visitors": parts.measure_visits,
    "threads": parts.measure_threads,
    "beside a training": parts.measure_beside_a_training,
    "training step": parts.measure_training,
}
"""Everything that is measured, in the order of the document."""
ON_REQUEST: dict[str, Callable[[BenchSettings], list[Figure]]] = {"columns": parts.measure_columns}
"""What other parts measure in processes of their own."""


def check_parts(names: Sequence[str]) -> None:
    """Check that all names are parts.

    Raises:
        ValueError: if one is not.
    """
    unknown = [name for name in names if name not in PARTS | ON_REQUEST]
    if unknown:
        raise ValueError(f"part {unknown[0]!r} is not known; choose from {', '.join(PARTS | ON_REQUEST)}")


def run_bench(settings: BenchSettings, names: Sequence[str], folder: Path) -> BenchReport:
    """Measure parts, and write the results after each, so that an interrupted run keeps what it has.

    A part that cannot be measured here is left out, and the document says why.

    Raises:
        ValueError: for an unknown part.
    """
    check_parts(names)
    machine = Machine(
        processor=processor_name(),
        cores=os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        torch=torch_version(),
        onnxruntime=onnxruntime_version(),
        model=settings.model,
        date=datetime.date.today().isoformat(),
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0,
    )
    found: dict[str, list[Figure]] = {}
    skipped: dict[str, str] = {}
    for name in names or PARTS:
        settings.say(f"measuring: {name}")
        try:
            found[name] = (PARTS | ON_REQUEST)[name](settings)
        except (ValueError, OSError, ImportError) as fault:
            skipped[name] = str(fault)
        report = BenchReport(machine, found, skipped)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / "performance.json", report.as_json())
        write_atomically(folder / "performance.md", report.as_markdown())
    return report
