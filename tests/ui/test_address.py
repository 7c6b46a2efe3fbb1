"""A second link in one tab replaces what is shown; copied is said only if it is so; reasoning stands apart."""

from __future__ import annotations

import dataclasses

import pytest

from sku.core.attacks import ChosenAttack
from sku.core.records import Answer
from sku.ui.compare.answer_text import above_answer_html, answer_box_text
from sku.ui.compare.restore import RestoreHandlers
from sku.ui.compare.share import LinkState, make_fragment
from sku.ui.events import UNCHANGED
from tests.ui.test_attack import ask
from tests.ui.test_sums import REQUEST, Page, page

__all__ = ["page"]  # the fixture
LINK = make_fragment(LinkState("Why is the sky blue?", ["base", "one"], 16, 0.0, 0, 2))


def test_a_second_link_shows_its_prompt_and_no_answer_to_the_first(page: Page) -> None:
    ask(page, ChosenAttack(), "base", "one")
    parts, restoring = page.parts, RestoreHandlers(page.parts, page.access)
    assert page.shown.comparison(range(2)) is not None
    opened = restoring.open_address(REQUEST, {parts.fragment: f"#{LINK}", parts.shown: page.shown})
    assert opened[parts.ask_row.prompt] == "Why is the sky blue?"
    assert {opened[column.answer] for column in parts.columns} == {""}
    assert page.shown.comparison(range(2)) is None, "exports and views must not show the old answers either"
    assert page.shown.history, "what was asked is still known"
    assert set(opened) <= parts.restored | parts.answering


@pytest.mark.parametrize("fragment", ["", "#c=broken", None])
def test_an_address_without_a_whole_link_changes_nothing(page: Page, fragment: str | None) -> None:
    ask(page, ChosenAttack(), "base", "one")
    before, restoring = page.shown.comparison(range(2)), RestoreHandlers(page.parts, page.access)
    values = {page.parts.fragment: fragment, page.parts.shown: page.shown}
    assert restoring.open_address(REQUEST, values) is UNCHANGED
    assert page.shown.comparison(range(2)) == before


def test_a_link_is_said_to_be_copied_only_if_it_was(page: Page) -> None:
    restoring = RestoreHandlers(page.parts, page.access)
    assert "copied to the clipboard" in str(restoring.link_box("Copied").label)
    assert "not copied" in str(restoring.link_box("").label)


def test_every_column_has_a_button_that_copies_its_answer(page: Page) -> None:
    assert [column.copy.elem_id for column in page.parts.columns] == [f"copy-{i}" for i in range(6)]


def test_reasoning_is_folded_above_the_answer_and_escaped() -> None:
    answer = Answer("base", 0.0, "Why?", 0, 0, "<think>\n<b>Hm.</b>\n</think>\n\nSo.", 9, 1.0, "end", "Sure, ")
    assert answer_box_text(answer) == "So."
    above = above_answer_html(answer)
    assert above.startswith("<p class='start'")
    assert "<details class='reasoning'>" in above
    assert "&lt;b&gt;Hm.&lt;/b&gt;" in above
    plain = dataclasses.replace(answer, text="So.", answer_start="")
    assert (answer_box_text(plain), above_answer_html(plain)) == ("So.", "")
