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
        str, typer.Argument(help="A JSONL file with the columns prompt and answer. Use - for standard input.")
    ] = "-",
    judge_name: JudgeName = "embedded",
) -> None:
    """Judge given answers: harmful, refusal, safe, off-topic or broken.

    Prints every line as JSON, with verdict, score, reason and judge added.
    """
    from sku.cli.progress import report_work
    from sku.data import table as tables
    from sku.judges import registry
    from sku.serving.live_session import LiveSession

    registry.check_judge_name(judge_name)
    with as_file(answers) as path:
        rows = list(tables.read_table(path, ("prompt", "answer")))
    session, began = LiveSession(), time.perf_counter()
    for start in range(0, len(rows), _ANSWERS_AT_ONCE):
        if start:
            seconds = time.perf_counter() - began
            report_work({"doing": "judging", "done": start, "todo": len(rows), "seconds": seconds})
        chunk = rows[start : start + _ANSWERS_AT_ONCE]
        pairs = [(row.text("prompt"), row.optional("answer") or "") for row in chunk]
        for row, verdict in zip(chunk, session.judged(pairs, judge_name), strict=True):
            added = {
                "verdict": verdict.outcome,
                "score": verdict.score,
                "reason": verdict.reason,
                "judge": verdict.judge,
            }
            print_json([{**row.values, **added}])
