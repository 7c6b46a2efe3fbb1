"""The command `judge`."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from sku.cli.options import JudgeName, as_file, print_json

_ANSWERS_AT_ONCE = 128
"""Among so many answers there are enough of a similar length to read together, and they take about half a minute."""


def judge(
    answers: Annotated[
        str,
        typer.Argument(
            help="A table of prompts and answers: JSONL, CSV, TSV or JSON, with the columns prompt and answer, or the "
            "names that published data sets and answer --json use. Use - for standard input."
        ),
    ] = "-",
    judge_name: JudgeName = "embedded",
) -> None:
    """Judge given answers: harmful, refusal, safe, off-topic or broken.

    Prints every line as JSON, with verdict, score, reason and judge added.
    """
    from sku.cli.progress import report_work
    from sku.data import table as tables
    from sku.data.row_texts import prompts_with_answers
    from sku.judges import registry
    from sku.serving.live_session import LiveSession

    registry.check_judge_name(judge_name)
    with as_file(answers) as path:
        rows = list(tables.read_table(path))
    pairs = prompts_with_answers(rows)  # before the work, so that a fault in a row is found first
    session, began = LiveSession(), time.perf_counter()
    for start in range(0, len(rows), _ANSWERS_AT_ONCE):
        if start:
            seconds = time.perf_counter() - began
            report_work({"doing": "judging", "done": start, "todo": len(rows), "seconds": seconds})
        chunk = rows[start : start + _ANSWERS_AT_ONCE]
        judged = session.judged(pairs[start : start + _ANSWERS_AT_ONCE], judge_name)
        for row, verdict in zip(chunk, judged, strict=True):
            added = {
                "verdict": verdict.outcome,
                "score": verdict.score,
                "reason": verdict.reason,
                "judge": verdict.judge,
            }
            print_json([{**row.values, **added}])
