"""Values that no component could have sent are refused in one line: a stranger must not fill the log."""

from __future__ import annotations

import asyncio
from typing import Any

import gradio as gr
import pytest

from sku.serving.live_session import LiveSession
from sku.ui.compare.layout import lay_out_compare
from sku.ui.compare.shown_answers import ShownAnswers
from sku.ui.hosting.checked_blocks import CheckedBlocks
from sku.ui.hosting.settings import Hosting
from sku.ui.tradeoff.layout import utility_meaning


@pytest.fixture
def page() -> CheckedBlocks:
    with CheckedBlocks() as blocks:
        slider, choice, file = gr.Slider(0, 1), gr.Dropdown(["a", "b"]), gr.File()
        gr.Button().click(lambda *values: None, [slider, choice, file], None)
    return blocks


def given(page: CheckedBlocks, values: list[Any]) -> list[Any]:
    found: list[Any] = asyncio.run(page.preprocess_data(page.fns[0], values, None))
    return found


def test_what_components_send_is_passed_on(page: CheckedBlocks) -> None:
    assert given(page, [0.5, "a", None]) == [0.5, "a", None]


@pytest.mark.parametrize(
    "values", [[], [0.5], ["x", "a", None], [0.5, "c", None], [0.5, {"a": 1}, None], [0.5, "a", "x"], [0.5, "a", [[]]]]
)
def test_what_they_could_not_send_is_refused_without_a_traceback(page: CheckedBlocks, values: list[Any]) -> None:
    with pytest.raises(gr.Error) as refused:
        given(page, values)
    assert not refused.value.print_exception
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("new_tokens", "samples"), [(1, 1), (7, 2), (8, 2), (9, 3), (17, 8)])
def test_the_page_stands_however_short_its_owner_wants_answers(new_tokens: int, samples: int) -> None:
    with gr.Blocks():
        lay_out_compare(
            LiveSession().choices(), Hosting(new_tokens=new_tokens, samples=samples), gr.State(ShownAnswers), None
        )


def test_a_script_may_send_no_utility() -> None:
    assert utility_meaning(None) == ""
    assert "better" in utility_meaning("kl")
