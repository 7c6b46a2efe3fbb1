"""What a session on real weights promises."""

from __future__ import annotations

import time

import pytest

from sku.core.config import DecodingConfig
from sku.serving.live_session import LiveSession
from sku.serving.session import SessionStatus


def test_the_status_says_how_far_loading_is(live: LiveSession) -> None:
    assert live.status == SessionStatus("live", ready=True), "loaded: nothing to wait for"
    assert LiveSession("any").status == SessionStatus("live", ready=False, progress="not started")


def test_why_loading_failed_is_in_the_status() -> None:
    session = LiveSession("no-such-folder/model")
    session.start()
    deadline = time.monotonic() + 60
    while session.status.error is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "no-such-folder/model" in session.status.error
    assert not session.status.ready


@pytest.mark.parametrize("variant", ["one", "two@0.5", "one@1+two@0.5"])
def test_at_coefficient_0_a_variant_is_the_base_exactly(live: LiveSession, variant: str) -> None:
    assert live.zero_difference(variant, "Why?") == 0.0


def test_a_judge_is_made_once(live: LiveSession) -> None:
    assert live.judge("keyword") is live.judge("keyword")
    with pytest.raises(ValueError, match="judge 'oracle' is not known"):
        live.judge("oracle")


def test_an_empty_prompt_is_refused_and_an_empty_answer_has_no_lens(live: LiveSession) -> None:
    config = DecodingConfig(max_new_tokens=4)
    for call in (
        lambda: live.answers([" "], ["base"], config),
        lambda: list(live.ask("", ["base"], config)),
        lambda: live.divergence("", "text", ["base"]),
    ):
        with pytest.raises(ValueError, match="the prompt is empty"):
            call()
    with pytest.raises(ValueError, match="there is no answer to look at"):
        live.lens("Why?", " ", ["base"])
