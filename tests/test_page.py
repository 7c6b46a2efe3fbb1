"""The page without a browser: handlers on the pico model, and what a visitor may not do."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from sku import results
from sku.config import DecodingConfig
from sku.judging.protocol import Agreement, Card
from sku.records import Answer, ResultRow, Verdict
from sku.session import Column, LiveSession
from sku.ui import tradeoff
from sku.ui.about import card_text
from sku.ui.asking import MAX_PROMPT, asker
from sku.ui.compare import placed
from sku.ui.page import build_page
from sku.ui.turns import Turns


@pytest.fixture
def client(pico_folder: Path) -> Iterator[Client]:
    page = build_page(LiveSession(str(pico_folder)))
    page.queue()
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, show_error=True)
    yield Client(url, verbose=False)
    page.close()


SETTINGS = (16, 0.0, 0)
THREE_BASES = ("base", "base", "base", 1.0, 1.0, 1.0)


def test_three_columns_stream_and_end_together(client: Client) -> None:
    states = list(client.submit("Why?", *SETTINGS, *THREE_BASES, api_name="/ask"))
    first, *_, last = states
    assert first[1] in ("<i>writing</i>", "<i>waking: not started</i>")
    assert last[0] == last[2] == last[4], "equal variants must write the same"
    assert re.match(r"1?\d tokens .* (length|end)<br>", last[1])


@pytest.mark.parametrize(
    ("prompt", "said"), [("  ", "prompt is empty"), ("x" * (MAX_PROMPT + 1), f"at most {MAX_PROMPT}")]
)
def test_a_bad_prompt_is_refused_on_the_server(client: Client, prompt: str, said: str) -> None:
    with pytest.raises(AppError, match=said):
        client.predict(prompt, *SETTINGS, *THREE_BASES, api_name="/ask")


@pytest.mark.parametrize("values", [(10**6, 0.0, 0), (16, 99.0, 0), (16, 0.0, -1)])
def test_settings_out_of_range_are_refused_on_the_server(client: Client, values: tuple[float, ...]) -> None:
    with pytest.raises(AppError):
        client.predict("Why?", *values, *THREE_BASES, api_name="/ask")


def test_the_newest_request_of_a_visitor_owns_a_column() -> None:
    turns = Turns()
    first = turns.take("me", [0, 1, 2])
    second = turns.take("me", [1])
    assert turns.mine("me", first) == [0, 2]
    assert turns.mine("me", second) == [1]
    assert turns.mine("you", first) == []
    turns.leave("me")
    assert turns.mine("me", first) == []


def test_a_stopped_column_is_nobodys_until_it_is_asked_again() -> None:
    turns = Turns()
    first = turns.take("me", [0, 1])
    turns.stop("me", [0, 1])
    assert turns.mine("me", first) == []
    assert turns.stopped("me", first) == [0, 1]
    turns.take("me", [1])
    assert turns.stopped("me", first) == [0]


class Written(LiveSession):
    """A session whose answers are written already: two steps a column, then whatever the judge is told to say."""

    def __init__(self, judged: Callable[[], list[Verdict]], at_half: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.judged, self.at_half = judged, at_half

    def ask(
        self,
        prompt: str,
        variants: Sequence[str],
        config: DecodingConfig,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[list[Column]]:
        def column(name: str, text: str, stopped: Any, writing: bool) -> Column:
            return Column(name, Answer(name, 0, prompt, 0, 0, text, 3, 1.0, stopped), writing=writing)

        yield [column(name, "A", "length", True) for name in variants]
        self.at_half()
        yield [column(name, "A mild answer", "cancelled" if cancelled() else "end", False) for name in variants]

    def verdicts(self, prompt: str, texts: Sequence[str]) -> list[Verdict]:
        assert list(texts) == ["A mild answer"] * len(texts), "only whole answers are judged"
        return self.judged()


def asked(session: LiveSession, turns: Turns, columns: Sequence[int] = (0, 1)) -> list[list[Any]]:
    """All updates of two columns: answer and facts of the first, then of the second."""
    request = SimpleNamespace(session_hash="me")
    return list(asker(session, turns, columns)(request, "Why?", 16, 0.0, 0, "base", "base", 1.0, 1.0))


HARMFUL = Verdict("harmful", 0.93, "gives steps", "embedded-1")
SAFE = Verdict("safe", 0.07, "talks of bread", "embedded-1")


def test_a_verdict_stands_beneath_an_answer_once_all_have_ended() -> None:
    *before, judging, last = asked(Written(lambda: [HARMFUL, SAFE]), Turns())
    assert not any("verdict" in update[1] for update in before)
    assert "judging" in judging[1]
    text = [re.sub("<br>", "\n", re.sub("<label.*|</?[^b][^>]*>|</?b[ >][^>]*>?", "", line)) for line in last[1::2]]
    assert text[0] == "3 tokens · 3 tok/s · end\n▲ harmful 0.93 · embedded-1 · why: gives steps"
    assert text[1] == "3 tokens · 3 tok/s · end\n● safe · harm score 0.07 · embedded-1 · why: talks of bread"


def test_a_harmful_answer_is_folded_and_no_other() -> None:
    last = asked(Written(lambda: [HARMFUL, SAFE]), Turns())[-1]
    assert "harmful text, show" in last[1]
    assert "class='fold'" not in last[3]


@pytest.mark.parametrize("error", [ValueError("the prompt is too long"), OSError("its weights are <not> here")])
def test_a_judge_that_cannot_be_asked_leaves_answers_unjudged(error: Exception) -> None:
    def fails() -> list[Verdict]:
        raise error

    last = asked(Written(fails), Turns())[-1]
    assert "○</b> unjudged: " + str(error).replace("<", "&lt;").replace(">", "&gt;") in last[1]
    assert "end<br>" in last[3]


def test_what_a_judge_says_is_shown_as_text() -> None:
    said = Verdict("safe", 0.1, "<img src=x onerror='alert(1)'>", "<b>")
    last = asked(Written(lambda: [said, said]), Turns())[-1]
    assert "<img" not in last[1]
    assert "&lt;img" in last[1]


def test_stop_says_so_and_judges_nothing() -> None:
    turns = Turns()
    updates = asked(Written(lambda: [HARMFUL, SAFE], at_half=lambda: turns.stop("me", [0, 1])), turns)
    assert updates[-1][1].endswith("cancelled")
    assert isinstance(updates[-1][0], dict), "the text stays as it was"


def test_a_column_that_is_asked_anew_is_left_to_the_newer_request() -> None:
    turns = Turns()
    last = asked(Written(lambda: [HARMFUL, SAFE], at_half=lambda: turns.take("me", [1]) and None), turns)[-1]
    assert "harmful 0.93" in last[1]
    assert isinstance(last[3], dict)


def row(variant: str, side: str = "test", **fields: Any) -> ResultRow:
    name, _, coefficient = variant.partition("@")
    named: dict[str, Any] = {"method": name, "coefficient": float(coefficient or 0), "run": name, "model": "m"}
    named |= {"harmful_rate": 0.25, "harmful_low": 0.1, "harmful_high": 0.4, "n": 20, "safe": 20, "kl": 0.1} | fields
    return ResultRow(variant, side=side, **named)


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[ResultRow]:
    """A recorded study of four rows."""
    rows = [row("base", kl=0.0), row("sku@1", preservation="keep"), row("ga@1", kl=3.0), row("ga@1", "validation")]
    monkeypatch.setattr(results, "RECORDED", tmp_path / "study.jsonl")
    results.write(results.RECORDED, rows)
    return rows


CHOSEN: tuple[Any, ...] = ("kl", "test", [], [], None)
HERE = ("base", "ga", "sku", 1.0, 1.0, 0.5)


def test_before_there_is_a_study_the_tab_says_how_to_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "RECORDED", tmp_path / "study.jsonl")
    _, _, note, plot, choosing, point, download, table = tradeoff.look(*CHOSEN, *HERE)
    assert "python -m sku study" in note
    assert (plot.visible, choosing.visible, table.visible) == (False, False, False)
    assert (point.choices, download) == ([], "")


def test_a_study_is_drawn_listed_and_can_be_downloaded(study: list[ResultRow]) -> None:
    methods, known, note, plot, _, point, download, table = tradeoff.look(*CHOSEN, *HERE)
    assert known == ["SKU, keep", "Gradient ascent"]
    assert methods.value == known
    assert note == ""
    drawn = {variant for trace in json.loads(plot.value["plot"])["data"] for variant in trace.get("customdata", ())}
    assert drawn == {"base", "ga@1", "sku@1", "sku@0.5"}, "sku@0.5 is where column 3 stands"
    assert ("sku@1: harmful 25 % (10 to 40), KL from base 0.1 nats a token, broken 0 %", "sku@1") in point.choices
    assert [cells[0] for cells in table.value["data"]] == ["base", "ga@1", "sku@1"]
    assert "seed" not in table.value["headers"], "what no row has, has no column"
    (data,) = re.findall("base64,([^']*)", download)
    assert base64.b64decode(data).decode().startswith("variant,method,coefficient")


def test_methods_and_side_choose_what_is_drawn_and_a_new_kind_is_drawn_at_once(study: list[ResultRow]) -> None:
    _, _, note, plot, *_ = tradeoff.look("kl", "validation", ["SKU, keep"], ["SKU, keep", "Gradient ascent"], None)
    assert "Nothing of the methods chosen was measured on validation prompts" in note
    assert not plot.visible
    methods, *_ = tradeoff.look("kl", "test", ["SKU, keep"], ["SKU, keep"], None)
    assert methods.value == ["SKU, keep", "Gradient ascent"]


def test_what_was_not_measured_is_counted_not_drawn(study: list[ResultRow]) -> None:
    _, _, note, *_ = tradeoff.look("mc1", *CHOSEN[1:])
    assert note == "3 of 3 rows are not drawn: TruthfulQA MC1 was not measured."


def test_own_evaluations_stand_beside_the_study_and_a_damaged_file_hides_nothing(
    study: list[ResultRow], sku_home: Path
) -> None:
    results.write(sku_home / "results" / "mine.jsonl", [row("mine@2", method="tv")])
    (sku_home / "results" / "<b>.jsonl").write_text("{half\n", encoding="utf-8")
    _, _, note, _, _, point, _, table = tradeoff.look(*CHOSEN, *HERE)
    assert "&lt;b&gt;.jsonl, line 1 is damaged" in note
    assert any(text.endswith("(yours)") and variant == "mine@2" for text, variant in point.choices)
    assert table.value["data"][-1][:2] == ["mine@2", "Task vector (yours)"]


def test_a_point_opens_in_a_column_or_says_why_not() -> None:
    session = LiveSession()
    variant, slider, heading = placed(session, "sku@3.5")
    assert (variant.value, slider.value, slider.maximum) == ("sku", 3.5, 3.5)
    assert "base minus 3.5" in heading
    for text, said in ((None, "no point is chosen"), ("sku_push_3@1", "not on this machine")):
        with pytest.raises(ValueError, match=said):
            placed(session, text)


def test_a_card_says_what_was_measured_and_what_was_not() -> None:
    measured = Card("embedded", "1", "embedded", 0.5, "MIT", "", (Agreement("all", 9, 0.8, 0.7, 0.9),), ("irony",))
    assert "all: 80 % (70 to 90) of 9 answers" in card_text(measured)
    assert "known to fail: irony" in card_text(measured)
    assert "not measured here" in card_text(Card("hub", "1", "hub", 0.5, "?", ""))
    assert isinstance(build_page(LiveSession(), [measured]), gr.Blocks)
