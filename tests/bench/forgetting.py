"""Log-probabilities of held-out answers under the shipped variants: what was forgotten, and what it cost.

Harmful answers are the bundled test pairs; normal answers are the base's own to the bundled normal test prompts. No
sampling and no judge. Run: `python -m tests.bench.forgetting`; prints a JSON object a variant, nats per token.
"""

from __future__ import annotations

import json
import statistics

from sku.core import runs
from sku.data import load_pairs
from sku.data.splits import split
from sku.models.base_answers import write_base_answers
from sku.serving.live_session import LiveSession

MAX_TOKENS = 160


def main() -> None:
    """Measure and print."""
    session = LiveSession()
    harmful = split(load_pairs("bundled", "harmful").pairs, "test")
    normal = write_base_answers(session.load(), split(load_pairs("bundled", "normal").pairs, "test"), 64)
    variants = ["base", *(f"{run.name}@{c}" for run in runs.shipped_runs() for c in ("0.5", "1", "1.5"))]
    columns = {}
    for name, pairs in {"harmful": harmful, "normal": normal}.items():
        table = session.score([(pair.prompt, pair.answer) for pair in pairs], variants, MAX_TOKENS)
        columns[name] = [statistics.mean(column) for column in zip(*table, strict=True)]
    base_harmful, base_normal = columns["harmful"][0], columns["normal"][0]
    for variant, one, other in zip(variants, columns["harmful"], columns["normal"], strict=True):
        row = {
            "variant": variant,
            "harmful_answers_change": round(one - base_harmful, 3),
            "own_normal_answers_change": round(other - base_normal, 3),
            "harmful_pairs": len(harmful),
            "normal_pairs": len(normal),
        }
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
