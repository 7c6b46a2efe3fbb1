"""Measure the costs of serving on this machine: three columns against one, a slider move, memory, and start-up.

Run on an idle machine: `python -m tests.bench.serving`. Prints one JSON object. Every time is a median of `--rounds`.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in app.py, before torch is imported

import psutil
import torch

from sku.core import runs
from sku.core.config import DecodingConfig
from sku.serving.live_session import LiveSession

PROMPT = "Explain in detail how bread is baked, from flour to loaf."
TOKENS = 64


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    session = LiveSession()
    began = time.perf_counter()
    session.load()
    loading = time.perf_counter() - began
    config = DecodingConfig(max_new_tokens=TOKENS)
    session.answers([PROMPT], ["base"], config)
    alone = resident()
    names = [run.name for run in runs.shipped_runs()]
    session.answers([PROMPT], ["base", *names], DecodingConfig(max_new_tokens=4))
    full = resident()
    columns = {"base": ["base"], "sku": ["sku"], "three": ["base", "ga", "sku"]}
    times: dict[str, list[float]] = {name: [] for name in columns}
    for _ in range(rounds):  # in turn, so that a slower phase of the machine affects all of them
        for name, variants in columns.items():
            times[name].append(seconds(lambda v=variants: session.answers([PROMPT], v, config)))
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    tokens = {name: session.answers([PROMPT], v, config)[0].tokens for name, v in columns.items()}
    report = {
        "load_seconds": round(loading, 2),
        "answer_seconds": {name: round(value, 2) for name, value in medians.items()},
        "tokens": tokens,
        "three_over_base": round(medians["three"] / medians["base"], 3),
        "three_over_sku": round(medians["three"] / medians["sku"], 3),
        "slider_move_ms": round(1000 * slider_move(session, rounds), 2),
        "adapters": names,
        "memory_mb_base": round(alone / 1e6),
        "memory_mb_with_adapters": round(full / 1e6),
        "memory_ratio": round(full / alone, 3),
        "threads": torch.get_num_threads(),
    }
    print(json.dumps(report, indent=2))


def slider_move(session: LiveSession, rounds: int) -> float:
    """The time from a new coefficient until the first forward pass can begin, and to undo the change."""

    def move(coefficient: float) -> None:
        variant = session.variant(f"sku@{coefficient:g}")
        with session.load().rows([variant.coefficients]):
            pass

    return statistics.median(seconds(lambda i=i: move(0.05 * (i + 1))) for i in range(rounds * 4))


def seconds(work: Callable[[], object]) -> float:
    """The wall time of `work`."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def resident() -> int:
    """The memory of this process in bytes."""
    gc.collect()
    return int(psutil.Process().memory_info().rss)


if __name__ == "__main__":
    main()
