"""A conversation in Compare: every column continues its own answers, and links, files and sweeps carry it."""

from __future__ import annotations

import json
import re
from typing import Any

import gradio as gr
import pytest

from sku.core.config import DecodingConfig
from sku.core.conversation import Conversation, Turn
from sku.ui.compare import share
from sku.ui.compare.answer_text import earlier_html
from sku.ui.compare.comparison import comparison_from_json
from sku.ui.compare.conversation import conversation_html, follow_up
from sku.ui.compare.restore import RestoreHandlers
from sku.ui.compare.shown_answers import ShownAnswers
from sku.ui.compare.sweep import sweep_handler
from sku.ui.hosting.gate import Gate
from tests.ui.test_sums import REQUEST, Page, page

__all__ = ["page"]
EVIL = "<img src=x onerror=alert(1)>"
GREEDY = DecodingConfig(max_new_tokens=8)


def ask(page: Page, *variants: str, columns: Any = range(6), **conversation: Any) -> dict[Any, Any]:
    """What the page shows once all has ended."""
    before = {getattr(page.parts.conversation, name): value for name, value in conversation.items()}
    shown: dict[Any, Any] = {}
    values = page.values(*variants) | before
    values[page.parts.ask_row.prompt] = conversation.get("prompt", "And then?" if "earlier" in conversation else "Why?")
    for updates in page.asking.ask(columns)(REQUEST, values):
        shown |= updates
    return shown


@pytest.fixture
def calls(page: Page, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[str, ...]]]:
    """Prompt and variants of every question that reaches the session."""
    found: list[tuple[str, tuple[str, ...]]] = []
    real = page.access.session.ask

    def counted(prompt: str, variants: Any, *more: Any) -> Any:
        found.append((prompt, tuple(variants)))
        return real(prompt, variants, *more)

    monkeypatch.setattr(page.access.session, "ask", counted)
    return found


def test_a_follow_up_continues_each_columns_own_answer_without_asking_again(page: Page, calls: list[Any]) -> None:
    ask(page, "base", "two")
    first = [page.shown.columns[i].answers[0].text for i in (0, 1)]
    earlier, prompt = follow_up(page.shown)
    assert (earlier, prompt) == (("Why?",), "")
    shown = ask(page, "base", "two", earlier=earlier)
    assert calls == [("Why?", ("base", "two@1")), ("And then?", ("base", "two@1"))]
    for i, variant in enumerate(["base", "two@1"]):
        column = page.shown.columns[i]
        assert column.earlier == (Turn("Why?", first[i]),)
        (alone,) = page.access.session.answers(
            ["And then?"], [variant], GREEDY, before=[Conversation("", column.earlier)]
        )
        assert column.answers[0].text == alone.text
        assert "show 1 earlier turn" in shown[page.parts.columns[i].start]
    assert "KL from base" in shown[page.parts.columns[1].facts]


def test_a_column_that_has_another_variant_now_answers_the_earlier_questions_first(
    page: Page, calls: list[Any]
) -> None:
    ask(page, "base", "two")
    ask(page, "base", "two", earlier=("Why?",))
    del calls[:]
    ask(page, "base", "one", columns=[1], earlier=("Why?",))
    assert calls == [("Why?", ("one@1",)), ("And then?", ("one@1",))]
    (alone,) = page.access.session.answers(["Why?"], ["one@1"], GREEDY)
    assert page.shown.columns[1].earlier == (Turn("Why?", alone.text),)
    del calls[:]
    ask(page, "base", "one", earlier=("Why?",), system="Be brief.")
    assert [prompt for prompt, _ in calls] == ["Why?", "And then?"], "another system prompt is another conversation"


def test_a_first_question_after_a_conversation_is_as_if_there_had_been_none(page: Page) -> None:
    ask(page, "base", "two")
    texts = [page.shown.columns[i].answers[0].text for i in (0, 1)]
    ask(page, "base", "two", earlier=("Why?",))
    ask(page, "base", "two")
    assert [page.shown.columns[i].answers[0].text for i in (0, 1)] == texts
    assert page.shown.columns[0].earlier == ()


def test_a_template_that_takes_no_system_prompt_leaves_the_reason_in_the_columns(page: Page) -> None:
    template = page.access.session.load().template  # type: ignore[attr-defined]
    object.__setattr__(template.probed, "takes_system", False)
    shown: dict[Any, Any] = {}
    values = page.values("base", "two") | {page.parts.conversation.system: "Be brief."}

    def take() -> None:
        for updates in page.asking.ask(range(6))(REQUEST, values):
            shown.update(updates)

    with pytest.raises(gr.Error, match="has no place for a system prompt"):
        take()
    assert "has no place for a system prompt" in shown[page.parts.columns[1].facts]


def test_answers_in_a_conversation_are_hidden_until_they_are_judged_by_all_questions(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[str] = []
    real = page.access.session.verdicts

    def verdicts(prompt: str, texts: Any) -> Any:
        judged.append(prompt)
        return real(prompt, texts)

    monkeypatch.setattr(page.access.session, "verdicts", verdicts)
    folds = []
    values = page.values("base", "two") | {page.parts.conversation.earlier: ("Why?",)}
    values[page.parts.ask_row.prompt] = "And then?"
    for updates in page.asking.ask(range(6))(REQUEST, values):
        folds.append(updates.get(page.parts.columns[0].fold))
    assert any("hidden until judged" in (fold or "") for fold in folds)
    assert judged == ["Why?\nAnd then?"]


def test_a_link_carries_the_questions_and_opening_it_asks_them(page: Page, calls: list[Any]) -> None:
    ask(page, "base", "two")
    ask(page, "base", "two", earlier=("Why?",), system="Be brief.")
    texts = [page.shown.columns[i].answers[0].text for i in (0, 1)]
    restoring = RestoreHandlers(page.parts, page.access)
    before = {page.parts.conversation.earlier: ("Why?",), page.parts.conversation.system: "Be brief."}
    values = page.values("base", "two") | before | {page.parts.ask_row.prompt: "And then?"}
    fragment = restoring.make_link(REQUEST, values)
    link = share.parse_fragment(fragment)
    assert link is not None
    assert (link.system, link.earlier, link.answers) == ("Be brief.", ["Why?"], [])
    page.shown.clear()
    opened = restoring.open_address(REQUEST, {page.parts.fragment: fragment, page.parts.shown: page.shown})
    assert opened[page.parts.conversation.earlier] == ("Why?",)
    assert opened[page.parts.conversation.system] == "Be brief."
    del calls[:]
    for _ in page.asking.complete_link(REQUEST, values | {page.parts.shown: page.shown}):
        pass
    assert [prompt for prompt, _ in calls] == ["Why?", "And then?"]
    assert [page.shown.columns[i].answers[0].text for i in (0, 1)] == texts


def test_a_file_carries_the_conversation_and_older_files_have_none(page: Page) -> None:
    ask(page, "base", "two")
    ask(page, "base", "two", earlier=("Why?",), system=EVIL)
    comparison = page.shown.comparison(range(2))
    assert comparison is not None
    again = comparison_from_json(comparison.to_json())
    assert again == comparison
    assert again.questions == ("Why?",)
    assert again.settings.system == EVIL
    assert EVIL not in share.comparison_page(comparison)
    page.shown.clear()
    page.shown.replay(again)
    assert page.shown.earlier == ("Why?",)
    values = json.loads(comparison.to_json()) | {"sku_comparison": 2}
    for part in values["parts"]:
        del part["earlier"]
    del values["settings"]["system"]
    assert comparison_from_json(json.dumps(values)).questions == ()
    other = json.loads(comparison.to_json())
    other["parts"][0]["earlier"][0]["prompt"] = "Who?"
    with pytest.raises(ValueError, match="different earlier questions"):
        comparison_from_json(json.dumps(other))


def test_a_sweep_answers_the_whole_conversation_at_every_coefficient(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[tuple[list[str], list[Conversation]]] = []
    real = page.access.session.answers

    def answers(prompts: Any, variants: Any, config: Any, attack: Any, before: Any) -> Any:
        found.append((prompts, before))
        return real(prompts, variants, config, attack, before)

    monkeypatch.setattr(page.access.session, "answers", answers)
    values = page.values("base", "two") | {page.parts.conversation.earlier: ("Why?",)}
    sweep_handler(page.parts, page.access, 1)(REQUEST, values)
    assert [prompts for prompts, _ in found] == [["Why?"], ["Why?"]]
    assert [one.questions for one in found[1][1]] == [("Why?",)] * 7
    assert len({one.turns for one in found[1][1]}) > 1, "each coefficient must continue its own answer"


@pytest.mark.parametrize(
    ("system", "earlier", "said"),
    [
        (7, (), "The system prompt may have at most"),
        ("a" * 100_000, (), "The system prompt may have at most"),
        ("", ("Why?",) * 9, "at most 8 questions before the newest"),
        ("", "Why?", "at most 8 questions before the newest"),
        ("", ("",), "The prompt is empty"),
        ("", (7,), "The prompt is empty"),
    ],
)
def test_a_conversation_out_of_bounds_is_refused(system: Any, earlier: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Gate().conversation(system, earlier)


def test_texts_of_a_conversation_are_escaped_and_following_up_on_nothing_says_so() -> None:
    assert EVIL not in conversation_html(EVIL, [EVIL]) + earlier_html([Turn(EVIL, EVIL)])
    assert conversation_html("", []) == earlier_html([]) == ""
    line = re.sub("<[^>]+>", "", conversation_html("Be brief.", ["Why?", "How?"]))
    assert line == "System prompt: Be brief.Conversation: 1 Why? → 2 How? → the next question"
    follow_up(ShownAnswers())
