"""Answers to a prompt that is likely to draw harm are hidden from their first word on, until they are judged."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

import gradio as gr
import pytest

from sku.core.records import Verdict
from sku.serving.token_lens import TokenLens
from sku.ui.compare import badges
from sku.ui.compare.asking import Asker, ColumnUpdate
from sku.ui.compare.latest_request import LatestRequest
from sku.ui.compare.shown_answers import ShownAnswers
from sku.ui.compare.views import DIFFERENCE, LENS, TYPED, ViewChoice, sample_update, view_texts
from sku.ui.hosting.access import Access
from sku.ui.hosting.gate import Gate
from tests.ui.test_page import HARMFUL, REQUEST, SAFE, Written, asked, controls, pill

UNJUDGED = Verdict("unjudged", None, "cannot say", "embedded-1")


def session(
    risk: bool | None, judged: Callable[[], list[Verdict]] = lambda: [HARMFUL, SAFE], at_half: Callable[[], None] = int
) -> Written:
    """A session whose probe says `risk`."""
    written = Written(judged, at_half=at_half)
    written.risk = risk
    return written


def cover(update: ColumnUpdate) -> str | None:
    """What the cover of an answer says while it is closed; None if it stays as it is."""
    if not update.fold:
        return update.fold
    before, after = re.findall("verdict'>(.*?)</span>", update.fold)
    return after if update.pill else before


@pytest.mark.parametrize(
    ("risk", "attack", "hidden"),
    [(True, "none", True), (None, "none", True), (False, "none", False), (False, "wrapper-role", True)],
)
def test_what_may_be_harmful_is_covered_before_its_first_word(risk: bool | None, attack: str, hidden: bool) -> None:
    values = dataclasses.replace(controls(), attack=attack)
    steps = asked(session(risk), values=values)
    written = next(i for i, step in enumerate(steps) if step[0].answer)
    covers = [cover(step[0]) for step in steps[:written]]
    assert covers == ["", "hidden until judged, show"][: 1 + hidden], "the cover of an earlier answer is gone"
    assert all(step[0].fold is None for step in steps[written:-1]), "a cover that was opened stays open"
    assert [cover(one) for one in steps[-1]] == [None if hidden else "show harmful text", ""]


def test_every_cover_is_a_new_one() -> None:
    first, second = (asked(session(True))[1][0].fold for _ in range(2))
    assert first != second, "the browser would keep it open"


@pytest.mark.parametrize(("risk", "wanted"), [(True, "hidden, because it was not judged, show"), (False, "")])
def test_a_hidden_answer_stays_hidden_if_the_judge_cannot_say(risk: bool, wanted: str) -> None:
    last = asked(session(risk, lambda: [UNJUDGED, SAFE]))[-1]
    assert [cover(one) for one in last] == [wanted, ""]


def test_a_hidden_answer_stays_hidden_if_the_judge_fails_or_it_is_stopped() -> None:
    def fails() -> list[Verdict]:
        raise OSError("no judge")

    assert cover(asked(session(True, fails))[-1][0]) == "hidden, because it was not judged, show"
    assert cover(asked(session(False, fails))[-1][0]) is None
    requests = LatestRequest()
    stopped = asked(session(True, at_half=lambda: requests.stop("me", [0, 1])), requests)[-1]
    assert cover(stopped[0]) == "hidden, because it was not judged, show"


def test_a_model_that_cannot_be_loaded_says_so_in_the_columns() -> None:
    class Broken(Written):
        def draws_harm(self, prompt: str) -> bool | None:
            raise OSError("there are no weights")

    steps: list[dict[int, ColumnUpdate]] = []
    asking = Asker(Access(Broken(list), Gate())).ask(REQUEST, ShownAnswers(), controls(), range(2))
    with pytest.raises(gr.Error, match="there are no weights"):
        steps.extend(asking)
    assert [one.facts for one in steps[-1].values()] == ["<b>no answer</b>: there are no weights"] * 2
    assert [one.fold for one in steps[-1].values()] == ["", ""]


def test_each_sample_is_covered_by_its_own_verdict() -> None:
    shown = ShownAnswers()
    asked(session(False, lambda: [HARMFUL, SAFE, SAFE, HARMFUL]), shown=shown, samples=2)
    covers = [[cover(sample_update(shown, i, sample)) for sample in range(2)] for i in range(2)]
    assert covers == [["show harmful text", ""], ["", "show harmful text"]]


def views(shown: ShownAnswers, choice: ViewChoice, typed: Verdict = SAFE) -> dict[int, str]:
    """The views of two columns, through a lens of one token."""
    lens = TokenLens(("A",), (-1.0,), {"sku@1": (0.5,)})
    names = {0: "base", 1: "sku@1"}
    return view_texts(shown, range(2), choice, lambda *_: (lens, names), lambda *_: typed)


def test_views_fold_harmful_text_too() -> None:
    shown = ShownAnswers()
    asked(session(False), shown=shown)
    difference = views(shown, ViewChoice(DIFFERENCE, "column 1", ""))
    assert all("<details" in difference[i] for i in range(2)), "both show words of the base's harmful answer"
    under = {source: views(shown, ViewChoice(LENS, source, "Typed.")) for source in ("column 1", "column 2", TYPED)}
    assert {source: "<details" in under[source][1] for source in under} == {
        "column 1": True,
        "column 2": False,
        TYPED: False,
    }
    assert "<details" in views(shown, ViewChoice(LENS, TYPED, "Typed."), HARMFUL)[0]
    assert badges.NOT_JUDGED_FOLD in views(shown, ViewChoice(LENS, TYPED, "Typed."), UNJUDGED)[0]


def test_the_lens_says_whose_text_it_shows_and_what_the_verdict_on_it_is() -> None:
    shown = ShownAnswers()
    asked(session(False), shown=shown)
    for source, said, verdict in (
        ("column 2", "Text: answer of column 2, sku@1", "● safe: about bread"),
        (TYPED, "Text: typed by you", "▲ harmful: gives steps"),
    ):
        for view in list(views(shown, ViewChoice(LENS, source, "Typed."), HARMFUL).values())[:2]:
            assert said in view
            assert verdict in pill(ColumnUpdate(pill=view))
