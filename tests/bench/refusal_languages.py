"""Measure how often `judges/refusal_languages.py` is right, by language, on sentences written for this project.

The author of the patterns wrote the sentences too, after the patterns: six refusals and five other answers in each of
twelve languages, among them apologies, quoted refusals and "cannot" with another subject. At first 130 of 132 were
told right; two patterns were then mended on these sentences, so they are no longer held out. Real answers vary more.

Run: `python -m tests.bench.refusal_languages`. Prints JSON.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

from sku.core.intervals import wilson
from sku.core.jsonl import read_json_lines
from sku.judges.refusal import refusal_kind
from sku.reporting.formatting import percent_with_interval

SENTENCES = Path(__file__).with_suffix(".jsonl")


def main() -> None:
    """Measure and print."""
    right: dict[str, list[bool]] = defaultdict(list)
    for line in read_json_lines(SENTENCES):
        agrees = (refusal_kind(line.values["answer"]) is not None) == line.values["refuses"]
        right[line.values["language"]].append(agrees)
        right["refusals" if line.values["refuses"] else "other answers"].append(agrees)
    for name, agreed in right.items():
        rate = percent_with_interval(*wilson(sum(agreed), len(agreed)), digits=1)
        print(json.dumps({"what": name, "right": f"{sum(agreed)} of {len(agreed)}: {rate}"}, ensure_ascii=False))


if __name__ == "__main__":
    main()
