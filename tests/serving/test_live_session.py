"""What a session on real weights promises."""

from __future__ import annotations

import dataclasses
import shutil
import time
from pathlib import Path

import pytest

from sku.core import runs
from sku.core.config import DecodingConfig
from sku.serving.live_session import LiveSession
from sku.serving.session import SessionStatus
from tests.conftest import save_base


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


def test_a_failed_load_says_why_until_a_later_one_succeeds(pico_folder: Path, tmp_path: Path) -> None:
    """Who asks after a failed load tries again. Meanwhile the status never claims that something is being loaded."""
    session = LiveSession(str(tmp_path / "base"))
    for _ in range(2):
        with pytest.raises(OSError, match="neither a folder here"):
            session.load()
        assert session.status.progress == ""
        assert "neither a folder here" in str(session.status.error)
    shutil.copytree(pico_folder, tmp_path / "base")
    session.load()
    assert session.status == SessionStatus("live", ready=True)


def test_only_adapters_that_fit_the_base_are_offered(
    live: LiveSession, pico_folder: Path, tmp_path: Path, sku_home: Path
) -> None:
    assert [entry.name for entry in live.choices()] == ["base", "two", "one"], "the shipped ones are of another base"
    fresh = LiveSession(str(pico_folder))
    assert [entry.name for entry in fresh.choices()] == ["base"], "before loading, the name of the base decides"
    manifest = runs.read_run(sku_home / "runs" / "one").manifest
    runs.write_manifest(sku_home / "runs" / "one", dataclasses.replace(manifest, base=f"{pico_folder}/../base"))
    assert [entry.name for entry in fresh.choices()] == ["base", "one"]
    assert "sku" in [entry.name for entry in LiveSession("smollm2-135m").choices()]
    other = LiveSession(str(save_base(tmp_path / "other", seed=1)))
    other.load()
    assert [entry.name for entry in other.choices()] == ["base"]


def test_the_check_of_coefficient_0_notices_a_base_that_was_changed_in_memory(live: LiveSession) -> None:
    assert live.zero_difference("one", "Why?") == 0.0
    live.load().network.model.layers[0].mlp.up_proj.weight.data[1, 1] += 1.0
    with pytest.raises(RuntimeError, match="after running one the base is not the one that was loaded; restart"):
        live.zero_difference("one", "Why?")
