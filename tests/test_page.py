"""The page without a browser: handlers on the pico model, and what a visitor may not do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from sku.session import LiveSession
from sku.ui.compare import MAX_PROMPT, Turns
from sku.ui.page import build_page


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
    assert first[1] in ("*writing*", "*waking: not started*")
    assert last[0] == last[2] == last[4], "equal variants must write the same"
    assert last[1].startswith(("16 tokens", "1"))
    assert last[1].endswith(("length", "end"))


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
