"""What Compare says of many answers: the line of findings, the sweep, the batch, the tabs of a phone."""

from __future__ import annotations

import base64
import csv
import dataclasses
import io
import re
from unittest.mock import Mock

import gradio as gr
import pytest

from sku.core.records import Answer, Outcome, Verdict
from sku.ui.compare import badges
from sku.ui.compare.batch import (
    MAX_BATCH_PROMPTS,
    BatchHandlers,
    BatchRow,
    batch_prompts,
    grid_csv,
    grid_value,
    summary_html,
)  # fmt: skip
from sku.ui.compare.comparison import ComparedColumn
from sku.ui.compare.sweep import SWEPT_COEFFICIENTS, sweep_options
from sku.ui.messages import escaped, refusal

MARKUP = "<img src=x onerror=alert(1)>"


def answer(variant: str, text: str = "text") -> Answer:
    return Answer(variant, 1.0, "Why?", 0, 0, text, 3, 1.0, "end")


def verdict(outcome: Outcome) -> Verdict:
    return Verdict(outcome, 0.7, "because", "judge-1")


def column(variant: str, kl: float | None, *outcomes: Outcome) -> ComparedColumn:
    several = tuple(answer(variant) for _ in outcomes)
    return ComparedColumn(variant, variant, several, tuple(map(verdict, outcomes)), kl)


def test_one_line_says_what_was_found_for_the_prompt() -> None:
    line = badges.found_line(
        [column("base", 0.0, "harmful"), column("ga@1", 0.318, "off-topic"), column("sku@2.5", None, "refusal")]
    )
    for said in ("base helps to do harm", "ga@1 drifts off-topic at KL 0.32", "sku@2.5 refuses</span>"):
        assert said in line
    assert "base helps to do harm at KL" not in line, "the base has no distance from itself"
    assert badges.found_line([ComparedColumn("base", "base", (answer("base"),), (), None)]) == "", "nothing was judged"


def test_samples_are_found_by_their_most_frequent_outcome() -> None:
    assert "2 of 3 refusal" in badges.found_line([column("sku@1", 0.1, "refusal", "harmful", "refusal")])


def test_off_topic_is_never_green_and_has_a_sign_of_its_own() -> None:
    shown = badges.pill(verdict("off-topic"))
    assert "?" in shown
    assert "<b>off-topic</b>: because" in shown
    assert "#009e73" not in shown, "green is for safe answers"
    assert "judge judge-1" in shown


def test_every_coefficient_of_a_sweep_has_the_mark_of_its_outcome() -> None:
    outcomes: list[Outcome] = ["harmful", "harmful", "safe", "off-topic", "refusal", "refusal", "broken"]
    options = sweep_options(outcomes)
    assert [value for _, value in options] == list(SWEPT_COEFFICIENTS)
    assert options[0][0] == "0 ▲ harmful"
    assert options[3][0] == "1.5 ? off-topic"


def test_a_phone_gets_a_tab_for_each_column_with_its_verdict() -> None:
    tabs = badges.column_tabs({0: ("base", "harmful"), 2: (MARKUP, None)})
    assert re.findall("data-column='(.)'>(.*?)</button>", re.sub("</?(span|i)[^>]*>", "|", tabs)) == [
        ("0", "base||▲| harmful|"),
        ("2", "&lt;img src=x onerror=alert(1)&gt;"),
    ]


def test_a_batch_has_one_prompt_per_line_and_at_most_fifty() -> None:
    assert batch_prompts(" Why?\n\nHow?\r\nWhy?\n") == ["Why?", "How?"]
    for bad in ("", " \n", None, "\n".join(map(str, range(MAX_BATCH_PROMPTS + 1)))):
        with pytest.raises(ValueError, match="write 1 to 50, one per line"):
            batch_prompts(bad)


def test_the_grid_counts_every_outcome_with_an_interval() -> None:
    rows = [
        BatchRow("Why?", (answer("base"), answer("ga@1")), (verdict("harmful"), verdict("off-topic"))),
        BatchRow("How?", (answer("base"), answer("ga@1")), (verdict("safe"), verdict("refusal"))),
    ]
    assert grid_value(["base", "ga@1"], rows) == {
        "headers": ["prompt", "base", "ga@1"],
        "data": [["Why?", "▲ harmful", "? off-topic"], ["How?", "● safe", "■ refusal"]],
    }
    summary = summary_html(["base", "ga@1"], rows)
    assert "<b>base</b>: harmful 50 % (9 to 91) of 2, 1 safe" in summary
    assert "<b>ga@1</b>: harmful 0 % (0 to 66) of 2, 1 refusal, 1 off-topic" in summary


def test_a_batch_leaves_as_csv_and_no_cell_is_a_formula() -> None:
    row = BatchRow("=1+1", (answer("base", "@SUM(A1)"),), (verdict("safe"),))
    (cells,) = csv.DictReader(io.StringIO(grid_csv([row])))
    assert (cells["prompt"], cells["text"], cells["outcome"]) == ("'=1+1", "'@SUM(A1)", "safe")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_prompts_come_out_of_a_text_file_in_every_encoding_that_tells_itself(encoding: str) -> None:
    handlers, upload = BatchHandlers(Mock(), Mock()), object()
    handlers.components.batch.upload = upload  # type: ignore[assignment]
    assert handlers.fill({upload: "Où?\nWhy?".encode(encoding)}) == "Où?\nWhy?"  # type: ignore[dict-item]
    with pytest.raises(gr.Error, match="this file, line 2, character 2: byte 0xf9 is not UTF-8"):
        handlers.fill({upload: "Why?\nOù?".encode("latin-1")})  # type: ignore[dict-item]


def test_a_downloaded_table_says_that_it_is_utf_8() -> None:
    summary = summary_html(["base"], [BatchRow("Où?", (answer("base"),), (verdict("safe"),))])
    data = re.findall("base64,([^']+)", summary)[0]
    assert base64.b64decode(data).startswith("\ufeffprompt,variant".encode())


def test_messages_are_text() -> None:
    assert escaped(MARKUP) == "&lt;img src=x onerror=alert(1)&gt;"
    said = refusal(ValueError(MARKUP), "Not asked")
    assert "<img" not in str(said.message)
    assert not said.print_exception, "an ordinary refusal leaves no traceback"


@pytest.mark.parametrize(
    ("gate", "said"),
    [(None, None), (0.0, "gate closed: the base answered"), (1.0, "gate open"), (0.25, "gate 25 % open")],
)
def test_a_column_says_whether_its_gate_was_open(gate: float | None, said: str | None) -> None:
    line = badges.facts_line(dataclasses.replace(answer("gated@1"), gate=gate), "end", 1.0)
    assert (said or "tokens") in line
    assert ("gate" in line) == (gate is not None)
