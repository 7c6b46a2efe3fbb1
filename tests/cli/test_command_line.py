"""Data on standard output, one clear line on standard error, and the right exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sku.core.errors import Cancelled

MEASURING = ("evaluate", "judge", "plot", "record", "study", "train-judge", "train-probe")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["answer", "Why?", "-v", "nosuch"], 1, "variant 'nosuch' is not known"),
        (["answer", "Why?", "-v", "base@1"], 1, "write base"),
        (["answer", "  ", "-v", "base"], 1, "prompt is empty"),
        (["answer", "Why?", "-v", "base", "--temperature", "-1"], 1, "temperature is -1.0; it must be from 0"),
        (["answer", "Why?", "-v", "base", "--attack", "magic"], 1, "attack 'magic' is not offered for questions"),
        (["answer", "Why?", "-v", "base", "--attack", "prefill-own"], 1, "give the beginning of the answer with"),
        (["answer", "Why?", "-v", "base", "--answer-start", "Sure"], 1, "attack none takes no beginning"),
        (["answer", "Why?", "-v", "base", "--model", "./nowhere"], 1, "neither a folder here"),
        (["score", "nowhere.jsonl", "-v", "base"], 1, "nowhere.jsonl"),
        (["train", "--out", "x", "--method", "magic"], 1, "method 'magic' is not known"),
        (["train", "--out", "x", "--preset", "magic"], 1, "preset 'magic' is not known"),
        (["train", "--out", "nowhere", "--resume"], 1, "is not a run folder"),
        (["train", "--out", "x", "--config", "nowhere.json"], 1, "nowhere.json"),
        (["train", "--out", "x", "--weight", "heavy"], 2, "TERM=NUMBER"),
        (["train"], 2, "--out"),
        (["export", "-v", "base", "--out", "x", "--as", "poem"], 2, "poem"),
        (["nosuch"], 2, "nosuch"),
    ],
)
def test_mistakes_are_one_clear_line(
    sku: Any, words: list[str], code: int, said: str, pico_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if words[0] in ("answer", "score") and "--model" not in words:
        words = [*words, "--model", str(pico_folder)]
    got, out, err = sku(*words)
    assert got == code
    assert said in err
    assert out == ""
    assert "Traceback" not in err
    if code == 1:
        assert err.startswith("error: ")
        assert err.count("\n") == 1


@pytest.mark.parametrize("command", ["models", "train", "combine", "answer", "score", "export", *MEASURING])
def test_every_command_has_help(sku: Any, command: str) -> None:
    code, out, _ = sku(command, "--help")
    assert code == 0
    assert f"Usage: python -m sku {command} " in out


def test_work_that_was_cancelled_says_how_to_continue_and_exits_with_130(
    sku: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise Cancelled("stopped; the same call continues")

    monkeypatch.setattr("sku.serving.live_session.LiveSession.evaluate", stopped)
    monkeypatch.setattr("sku.training.trainer.run_training", stopped)
    for command, out in (("evaluate", tmp_path / "rows.jsonl"), ("train", tmp_path / "run")):
        code, said, error = sku(command, "--out", out)
        assert (code, said, error.strip()) == (130, "", "stopped; the same call continues")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["evaluate", "--judge", "oracle", "--out", "rows.jsonl"], "judge 'oracle' is not known; choose embedded"),
        (["judge", "no-such-file.jsonl", "--judge", "keyword"], "no-such-file.jsonl"),
        (["plot", "no-such-file.jsonl", "--out", "figure.html"], "no-such-file.jsonl"),
        (["judge", "--judge", "hub:wildguard=no-such-folder"], "no-such-folder of judge hub:wildguard is no folder"),
        (["study", "--data", "no-such-folder"], "there is no folder 'no-such-folder'"),
        (
            ["evaluate", "--judge", "keyword", "--similarity", "bleu", "--out", "rows.jsonl"],
            "metric 'bleu' is not known",
        ),
    ],
)
def test_measuring_says_in_one_line_what_is_wrong(
    sku: Any, words: list[str], wanted: str, pico_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sku.serving.model_loader.provision_base", lambda *_: pico_folder)
    code, out, err = sku(*words)
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert wanted in err
    assert err.count("\n") == 1


def test_an_error_of_a_library_is_one_line(sku: Any, pico_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class OfALibrary(Exception):
        pass

    def broken(*_: object) -> None:
        raise OfALibrary("first line\n  second line")

    monkeypatch.setattr("sku.serving.live_session.LiveSession.answers", broken)
    words = ("answer", "Why?", "-v", "base", "--model", pico_folder)
    code, out, err = sku(*words)
    assert (code, out) == (1, "")
    assert err.startswith("error: OfALibrary: first line second line (not foreseen; to report it, set SKU_TRACEBACK=1")
    assert err.count("\n") == 1
    monkeypatch.setenv("SKU_TRACEBACK", "1")
    with pytest.raises(OfALibrary):
        sku(*words)
