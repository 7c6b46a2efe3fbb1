"""The command that judges given answers."""

from __future__ import annotations

from typing import Annotated

import typer

from sku.cli.options import JudgeName, as_file, print_json


def judge(
    answers: Annotated[str, typer.Argument(help="JSONL with prompt and answer; - is standard input.")] = "-",
    judge_name: JudgeName = "embedded",
) -> None:
    """Say what became of given answers: adds verdict, score, reason and judge to every line."""
    from sku.data import table as tables
    from sku.judges import registry
    from sku.serving.live_session import LiveSession

    registry.check_judge_name(judge_name)
    with as_file(answers) as path:
        rows = list(tables.read_table(path, ("prompt", "answer")))
    session = LiveSession()
    for start in range(0, len(rows), 16):
        chunk = rows[start : start + 16]
        pairs = [(row.text("prompt"), row.optional("answer") or "") for row in chunk]
        for row, said in zip(chunk, session.judged(pairs, judge_name), strict=True):
            more = {"verdict": said.outcome, "score": said.score, "reason": said.reason, "judge": said.judge}
            print_json([{**row.values, **more}])
