"""A link carries answers if they fit. Whoever opens it sees that nobody here wrote them, and they are judged anew."""

from __future__ import annotations

import dataclasses
import json
import random
from typing import Any

import gradio as gr
import pytest

from sku.core.attacks import ChosenAttack
from sku.core.records import Verdict
from sku.ui.compare import badges, share
from sku.ui.compare.restore import RestoreHandlers
from sku.ui.compare.share import MAX_CHARACTERS_WITH_ANSWERS, LinkAnswer, LinkState, make_fragment, parse_fragment
from tests.ui.test_attack import ask, under
from tests.ui.test_comparison import link_of
from tests.ui.test_sums import REQUEST, Page, page

__all__ = ["page"]  # the fixture
EVIL = "<img src=x onerror=alert(1)><think>{{ 7 }}</think>"
NO_ATTACK = ChosenAttack()


def link(page: Page, *variants: str, attack: ChosenAttack = NO_ATTACK) -> LinkState:
    """What the button Link makes."""
    restoring = RestoreHandlers(page.parts, page.access)
    values = under(page, attack, *variants) | {page.parts.shown: page.shown}
    found = parse_fragment(restoring.make_link(REQUEST, values))
    assert found is not None
    return found


def opened(page: Page, state: LinkState, monkeypatch: pytest.MonkeyPatch | None = None) -> dict[Any, Any]:
    """What the page shows after a link was opened, before anything is judged."""
    restoring = RestoreHandlers(page.parts, page.access)
    return restoring.open_address(
        REQUEST, {page.parts.fragment: f"#{make_fragment(state)}", page.parts.shown: page.shown}
    )


def completed(page: Page, *variants: str) -> dict[Any, Any]:
    """What changes then."""
    shown: dict[Any, Any] = {}
    for updates in page.asking.complete_link(REQUEST, under(page, NO_ATTACK, *variants)):
        shown |= updates
    return shown


def test_answers_of_a_link_are_shown_hidden_marked_and_without_a_verdict(page: Page) -> None:
    ask(page, NO_ATTACK, "base", "one")
    texts = [page.shown.columns[i].answers[0].text for i in range(2)]
    state = link(page, "base", "one")
    assert [answer.text for answer in state.answers if answer] == texts
    assert "verdict" not in json.dumps(dataclasses.asdict(state)), "whoever made a link could have made it up"
    updates, columns = opened(page, state), page.parts.columns
    for i, text in enumerate(texts):
        assert updates[columns[i].answer] == text
        assert updates[columns[i].pill] == ""
        assert badges.WAITING_FOLD in updates[columns[i].fold]
        assert "from a link, not written here just now" in updates[columns[i].start]
        assert "tok/s" not in updates[columns[i].facts]
    assert updates[columns[2].answer] == ""
    assert set(updates) <= page.parts.restored | page.parts.answering


def test_answers_of_a_link_are_judged_when_it_is_opened_and_not_asked_again(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(page, NO_ATTACK, "base", "one")
    opened(page, link(page, "base", "one"))
    verdicts = [Verdict("harmful", 0.9, "x", "j"), Verdict("safe", 0.1, "x", "j")]
    monkeypatch.setattr(page.access.session, "verdicts", lambda prompt, texts: verdicts)
    monkeypatch.setattr(page.access.session, "ask", None)
    updates, columns = completed(page, "base", "one"), page.parts.columns
    assert "harmful" in updates[columns[0].pill]
    assert columns[0].fold not in updates, "its cover stays"
    assert updates[columns[1].fold] == ""
    assert "from a link" in updates[columns[0].start], "the mark stays"
    comparison = page.shown.comparison(range(2))
    assert comparison is not None
    assert [part.from_link for part in comparison.parts] == [True, True]
    assert "base (from a link) helps" in badges.found_line(comparison.parts)
    assert "From a link, not written where this page was made" in share.comparison_page(comparison)


def test_a_link_whose_answers_cannot_be_judged_keeps_them_hidden(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> Any:
        raise OSError("no judge")

    ask(page, NO_ATTACK, "base", "one")
    opened(page, link(page, "base", "one"))
    monkeypatch.setattr(page.access.session, "verdicts", fails)
    updates = completed(page, "base", "one")
    assert badges.NOT_JUDGED_FOLD in updates[page.parts.columns[0].fold]
    assert "no judge" in updates[page.parts.columns[0].pill]


def test_what_a_link_does_not_carry_is_asked_for(page: Page) -> None:
    ask(page, NO_ATTACK, "base", "one", columns=[1])
    text = page.shown.columns[1].answers[0].text
    state = link(page, "base", "one")
    assert [answer is None for answer in state.answers] == [True, False]
    opened(page, state)
    values = under(page, NO_ATTACK, "base", "one")
    assert list(page.asking.ask_unanswered(REQUEST, values)) == [], (
        "the number of columns changes, too, as it is opened"
    )
    updates, columns = completed(page, "base", "one"), page.parts.columns
    assert updates[columns[0].answer], "the base was asked"
    assert "from a link" in updates[columns[1].start], "it is not written anew"
    assert page.shown.columns[1].answers[0].text == text
    assert [page.shown.columns[i].from_link for i in range(2)] == [False, True]
    assert completed(page, "base", "one") == {}, "only once"


def test_a_page_that_opens_without_a_link_asks_nobody(page: Page) -> None:
    assert completed(page, "base", "one") == {}


@pytest.mark.parametrize("change", [{"model": "other"}, {"variants": ["base", "one@0.3"]}])
def test_answers_of_another_base_or_variant_are_not_carried_over(page: Page, change: dict[str, Any]) -> None:
    ask(page, NO_ATTACK, "base", "one")
    state = link(page, "base", "one")
    if "model" in change:
        opened(page, dataclasses.replace(state, **change))
        assert page.shown.columns == {}
    else:  # the slider was moved since
        values = page.values("base", "one@0.3") | {page.parts.shown: page.shown}
        found = parse_fragment(RestoreHandlers(page.parts, page.access).make_link(REQUEST, values))
        assert found is not None
        assert [answer is None for answer in found.answers] == [False, True]


def test_an_answer_of_a_variant_that_is_not_here_is_not_shown_as_the_bases(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gr, "Warning", lambda text, title: None)
    answer = LinkAnswer("I am the answer of another.", 4, "end")
    model = page.access.session.model_name
    state = LinkState("Why?", ["base", "gone@1"], 16, 0.0, 0, 2, model=model, answers=[None, answer])
    updates = opened(page, state)
    assert updates[page.parts.columns[1].held].text == "base"
    assert updates[page.parts.columns[1].answer] == ""


def test_samples_of_another_temperature_are_not_carried_as_the_settings_of_the_link(page: Page) -> None:
    for _ in page.asking.ask(range(6), samples=True)(REQUEST, page.values("base", "one")):
        pass
    assert link(page, "base", "one").answers == []
    assert link(page, "base", "one").temperature == 0, "later questions are greedy"


def test_a_kl_is_never_measured_on_what_a_link_calls_the_bases_answer(page: Page) -> None:
    ask(page, NO_ATTACK, "base", "one", columns=[0])
    opened(page, link(page, "base", "one"))
    completed(page, "base", "one")
    assert page.shown.columns[1].answers
    assert page.shown.columns[1].kl is None


def test_text_of_a_link_is_text(page: Page) -> None:
    model = page.access.session.model_name
    answer = LinkAnswer(EVIL, 4, "end", start=EVIL)
    attack = ChosenAttack("prefill-own", EVIL)
    state = LinkState(EVIL, ["base", "one"], 16, 0.0, 0, 2, attack, model, [answer, answer])
    updates, column = opened(page, state), page.parts.columns[0]
    assert "<img" not in updates[column.start]
    assert "&lt;img" in updates[column.start]
    for part in (column.facts, column.fold, column.pill):
        assert "<img" not in updates[part]


def words(count: int) -> str:
    """Text that hardly compresses."""
    return " ".join(str(random.Random(i).random()) for i in range(count))


def state_with(text: str, count: int = 2) -> LinkState:
    return LinkState("Why?", ["base"] * count, 16, 0.0, 0, 2, model="m", answers=[LinkAnswer(text, 4, "end")] * count)


@pytest.mark.parametrize(("text", "carried"), [(words(20), True), (words(700), False), ("a" * 19_000, False)])
def test_answers_that_make_a_link_too_long_stay_out_of_it(text: str, carried: bool) -> None:
    fragment = make_fragment(state_with(text, 6))
    assert len(fragment) <= MAX_CHARACTERS_WITH_ANSWERS
    found = parse_fragment(fragment)
    assert found is not None
    assert bool(found.answers) is carried
    assert dataclasses.replace(found, answers=[]) == dataclasses.replace(state_with(text, 6), answers=[])


@pytest.mark.parametrize(
    "fragment",
    [
        "c=" + "A" * 1_000_000,
        link_of(b'{"prompt": "' + b"a" * 50_000_000 + b'"}'),
        link_of(json.dumps(dataclasses.asdict(state_with("a", 6)) | {"answers": [None] * 7}).encode()),
        link_of(json.dumps(dataclasses.asdict(state_with("a")) | {"answers": [{"text": "a"}]}).encode()),
        link_of(json.dumps(dataclasses.asdict(state_with("a")) | {"answers": "a"}).encode()),
        link_of(json.dumps(dataclasses.asdict(state_with("a")) | {"prompt": "\ud800"}).encode()),
        link_of(json.dumps(dataclasses.asdict(state_with("a" * 20_001))).encode()),
    ],
)
def test_a_link_that_is_too_large_or_made_up_opens_nothing(fragment: str) -> None:
    with pytest.raises(ValueError, match="the link is damaged or incomplete"):
        parse_fragment(fragment)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([LinkAnswer("a", 1, "end")] * 2, "It carries the answers."),
        ([None, LinkAnswer("a", 1, "end")], "It carries 1 of 2 answers"),
        ([], "It carries no answers"),
    ],
)
def test_the_box_says_which_answers_a_link_carries(page: Page, answers: list[LinkAnswer | None], said: str) -> None:
    state = LinkState("Why?", ["base", "base"], 16, 0.0, 0, 2, model="m", answers=answers)
    box = RestoreHandlers(page.parts, page.access).link_box("", f"http://here/#{make_fragment(state)}")
    assert said in str(box.label)
