"""Commands called in this process, and a run to name."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest

from sku import __main__ as command_line
from sku.core.config import TrainConfig
from sku.training.trainer import run_training


@pytest.fixture
def run(pico_folder: Path, pairs_file: Path, tmp_path: Path) -> Path:
    config = TrainConfig(
        method="tv",
        model=str(pico_folder),
        harmful=(str(pairs_file),),
        normal=("bundled",),
        steps=2,
        rank=4,
        max_tokens=512,
    )
    return run_training(tmp_path / "run", config).folder


class Said(tuple[int, str, str]):
    """Exit code, standard output, standard error."""


@pytest.fixture
def sku(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(command_line.signal, "signal", lambda *_: None)

    def call(*words: object, stdin: str | bytes = "") -> Said:
        piped = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr(sys, "argv", ["sku", *map(str, words)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(piped)))
        code: Any = 0
        try:
            command_line.main()
        except SystemExit as stopped:
            code = stopped.code or 0
        out, err = capsys.readouterr()
        return Said((int(code), out, err))

    return call
