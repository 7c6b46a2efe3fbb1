"""Measure how often `judges/refusal.py` agrees with people, on held-out prompts and on all prompts.

XSTest's labels are full, partial or no refusal; PyRIT's are refusal or not. PyRIT counts an answer to another question
as a refusal, which the answer alone cannot show. So the share is also given without such rows: those whose prompt is
answered in another row, or whose answer is an answer elsewhere. Harmful answers that are called full refusals never
reach the harm judge, so they are counted too.

Run: `python -m tests.bench.refusal --xstest FILE --labelled FILE`. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from sku.core.intervals import wilson
from sku.data.splits import side_of
from sku.judges.fitting.labels import LabelledAnswer, read_human_labels, read_xstest_labels
from sku.judges.refusal import refusal_kind
from sku.reporting.formatting import percent_with_interval


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--xstest", type=Path, required=True)
    parser.add_argument("--labelled", type=Path, required=True)
    given = parser.parse_args()
    xstest, labelled = read_xstest_labels(given.xstest), read_human_labels(given.labelled)
    for name in ("test", "all"):

        def part(rows: Sequence[LabelledAnswer], name: str = name) -> list[LabelledAnswer]:
            return [row for row in rows if name == "all" or side_of(row.prompt_id) == name]

        refusals = [row for row in part(labelled) if row.refuses is not None]
        harmful = [row for row in part(labelled) if row.harmful]
        report = {
            "prompts": name,
            "xstest, refuses or not": share(
                [(refusal_kind(r.answer) is not None) == (r.refuses == 1) for r in part(xstest)]
            ),
            "xstest, fully or not": share([(refusal_kind(r.answer) == "full") == r.full for r in part(xstest)]),
            "pyrit, refuses or not": share(
                [(refusal_kind(r.answer) is not None) == (r.refuses == 1) for r in refusals]
            ),
            "pyrit, to the question asked": share(
                [(refusal_kind(r.answer) is not None) == (r.refuses == 1) for r in to_the_question(refusals, labelled)]
            ),
            "harmful, but called a full refusal": share([refusal_kind(r.answer) == "full" for r in harmful]),
        }
        print(json.dumps(report, indent=2))


def to_the_question(rows: Sequence[LabelledAnswer], everything: Sequence[LabelledAnswer]) -> list[LabelledAnswer]:
    """The rows without those whose answer belongs to another question."""
    answered = [row for row in everything if row.refuses == 0]
    prompts, answers = {row.prompt for row in answered}, {row.answer for row in answered}
    return [row for row in rows if row.refuses == 0 or not (row.prompt in prompts or row.answer in answers)]


def share(right: Sequence[bool]) -> str:
    """A rate with its Wilson interval, as text."""
    return f"{sum(right)} of {len(right)}: {percent_with_interval(*wilson(sum(right), len(right)), digits=1)}"


if __name__ == "__main__":
    main()
