"""Measure answers with one thread and with several, spinning and passive, with and without a training beside them.

Every combination runs in a process of its own, because OpenMP reads its settings when torch is imported. Prints JSON:
milliseconds a token, by how many rows the base writes at once; medians.

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
from itertools import pairwise
from pathlib import Path

from sku.core.compute_threads import SPINS

ROOT = Path(__file__).parents[2]
WAITING = {
    "library default": {},
    "page": {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": SPINS},
    "passive": {"OMP_WAIT_POLICY": "PASSIVE"},
}
PROMPT = "Explain in detail how bread is baked, from flour to loaf."
ROWS = (1, 3, 8, 16, 24, 48)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, os.cpu_count() or 1])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=10)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        print(json.dumps(token_milliseconds(given.threads[0], given.rounds, given.tokens)))
        return
    report: dict[str, object] = {"processors": len(os.sched_getaffinity(0)), "load": os.getloadavg()[0]}
    report["alone"] = all_ways(given)
    with training():
        report["beside a training"] = all_ways(given)
    print(json.dumps(report, indent=2))


def all_ways(given: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Milliseconds a token by the number of threads and the way they wait, and by rows."""
    return {
        f"{threads} threads, {name}": in_process(threads, given.rounds, given.tokens, variables)
        for threads in given.threads
        for name, variables in (WAITING.items() if threads > 1 else [("passive", WAITING["passive"])])
    }


def in_process(threads: int, rounds: int, tokens: int, variables: dict[str, str]) -> dict[str, float]:
    """`token_milliseconds` in a new process with these environment variables."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    command = [sys.executable, "-m", "tests.bench.threads", "--worker", "--threads", str(threads)]
    command += ["--rounds", str(rounds), "--tokens", str(tokens)]
    environment = clean | variables | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(f"{threads} threads, {variables or 'library default'}: {found}", file=sys.stderr, flush=True)
    return found


def token_milliseconds(threads: int, rounds: int, tokens: int) -> dict[str, float]:
    """The median time of a token, by the number of rows in which the base writes."""
    import torch

    from sku.core.config import DecodingConfig
    from sku.core.variants import BASE, Variant
    from sku.models.generation import stream_answers
    from sku.serving.live_session import LiveSession

    torch.set_num_threads(threads)
    model, base = LiveSession().load(), [Variant(BASE, 0.0)]
    found = {}
    for rows in ROWS:
        config = DecodingConfig(max_new_tokens=tokens, temperature=1.0, samples=rows)  # rows differ
        steps = []
        for _ in range(rounds):
            ends = [time.perf_counter() for _ in stream_answers(model, [PROMPT], base, config)]
            steps += [end - begin for begin, end in pairwise(ends)][1:]  # the first reads the prompt
        found[str(rows)] = round(1000 * statistics.median(steps), 1)
    return found


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
