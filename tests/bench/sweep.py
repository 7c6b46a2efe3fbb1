"""Compare the time of eleven coefficients in one batch with eleven separate runs, on the same prompts and length.

This is measured with one prompt at a time, as on the page, and with full batches of many prompts, as in an evaluation.

Run: `python -m tests.bench.sweep`. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence

from sku.core.config import DecodingConfig
from sku.data import load_pairs
from sku.data.splits import split
from sku.serving.live_session import LiveSession

COEFFICIENTS = [round(0.3 * i, 1) for i in range(11)]
_ROWS = 44


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--adapter", default="sku")
    parser.add_argument("--prompts", type=int, default=4, help="number of prompts to ask one at a time")
    parser.add_argument("--tokens", type=int, default=48)
    given = parser.parse_args()
    session, config = LiveSession(), DecodingConfig(max_new_tokens=given.tokens)
    variants = [f"{given.adapter}@{c:g}" for c in COEFFICIENTS]
    prompts = [pair.prompt for pair in split(load_pairs("bundled", "harmful").pairs, "test")]
    session.answers(prompts[:1], variants, DecodingConfig(max_new_tokens=2))  # loads everything
    report: dict[str, float] = {}
    for name, asked, size in (("a prompt at a time", prompts[: given.prompts], 1), ("batches", prompts[:_ROWS], _ROWS)):
        together = seconds(session, asked, [variants], max(1, size // len(variants)), config)
        apart = seconds(session, asked, [[one] for one in variants], size, config)
        report |= {f"{name}, at once, s": together, f"{name}, one by one, s": apart, f"{name}, ratio": together / apart}
    print(json.dumps({name: round(number, 3) for name, number in report.items()}, indent=2))


def seconds(
    session: LiveSession, prompts: Sequence[str], runs: Sequence[list[str]], size: int, config: DecodingConfig
) -> float:
    """The time of all runs over all prompts, with `size` prompts per batch."""
    began = time.perf_counter()
    for variants in runs:
        for start in range(0, len(prompts), size):
            session.answers(prompts[start : start + size], variants, config)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
