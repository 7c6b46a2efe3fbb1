"""Measure answers with one thread and with several, spinning and passive, with and without a training beside them.

Every combination runs in a process of its own, because OpenMP reads its settings when torch is imported. Prints JSON:
seconds for 3 columns of `--tokens` tokens, the median of `--rounds`.

Run: `python -m tests.bench.threads`. On a machine with one processor, or pinned to one, `--threads 1 2` shows what two
threads cost where they must share it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sku.core.compute_threads import PAGE_SPINS

ROOT = Path(__file__).parents[2]
WAITING = {
    "library default": {},
    "page": {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": PAGE_SPINS},
    "passive": {"OMP_WAIT_POLICY": "PASSIVE"},
}
PROMPT = "Explain in detail how bread is baked, from flour to loaf."
COLUMNS = ["base", "ga", "sku"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, os.cpu_count() or 1])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        print(json.dumps(answer_seconds(given.threads[0], given.rounds, given.tokens)))
        return
    report: dict[str, object] = {"processors": len(os.sched_getaffinity(0)), "load": os.getloadavg()[0]}
    report["alone"] = all_ways(given)
    with training():
        report["beside a training"] = all_ways(given)
    print(json.dumps(report, indent=2))


def all_ways(given: argparse.Namespace) -> dict[str, float]:
    """Seconds by the number of threads and the way they wait."""
    return {
        f"{threads} threads, {name}": in_process(threads, given.rounds, given.tokens, variables)
        for threads in given.threads
        for name, variables in (WAITING.items() if threads > 1 else [("passive", WAITING["passive"])])
    }


def in_process(threads: int, rounds: int, tokens: int, variables: dict[str, str]) -> float:
    """`answer_seconds` in a new process with these environment variables."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    command = [sys.executable, "-m", "tests.bench.threads", "--worker", "--threads", str(threads)]
    command += ["--rounds", str(rounds), "--tokens", str(tokens)]
    environment = clean | variables | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    seconds = float(json.loads(done.stdout.splitlines()[-1]))
    print(f"{threads} threads, {variables or 'library default'}: {seconds} s", file=sys.stderr, flush=True)
    return seconds


def answer_seconds(threads: int, rounds: int, tokens: int) -> float:
    """The median time in which three columns write."""
    import torch

    from sku.core.config import DecodingConfig
    from sku.serving.live_session import LiveSession

    torch.set_num_threads(threads)
    session, config, times = LiveSession(), DecodingConfig(max_new_tokens=tokens), []
    session.answers([PROMPT], COLUMNS, DecodingConfig(max_new_tokens=2))
    for _ in range(rounds):
        began = time.perf_counter()
        session.answers([PROMPT], COLUMNS, config)
        times.append(time.perf_counter() - began)
    return round(statistics.median(times), 2)


@contextmanager
def training() -> Iterator[None]:
    """A training that runs until the block ends. As one of the page, it waits passively and has a lower priority."""
    with tempfile.TemporaryDirectory() as folder:
        train = [sys.executable, "-m", "sku", "train", "--preset", "quick", "--method", "ga"]
        child = subprocess.Popen(["nice", *train, "--out", f"{folder}/run"], cwd=ROOT, stdout=subprocess.DEVNULL)
        try:
            while not (Path(folder) / "run" / "log.jsonl").exists() and child.poll() is None:
                time.sleep(0.5)
            if child.poll() is not None:
                raise RuntimeError("the training ended before it began")
            yield
        finally:
            child.terminate()
            child.wait(60)


if __name__ == "__main__":
    main()
