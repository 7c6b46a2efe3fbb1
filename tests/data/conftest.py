"""Files, rows and a hub for the tests of the data sources."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import huggingface_hub
import pytest

from sku.core.records import PromptPair

Write = Callable[[str, str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.fixture
def shared_data() -> Path:
    folder = Path(__file__).parents[3] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the shared data folder is not on this machine")
    return folder


def pairs(count: int) -> tuple[PromptPair, ...]:
    return tuple(PromptPair(f"Question {i}?", f"Answer {i}.", "normal", "made up") for i in range(count))


def jsonl(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def labelled_row(prompt: str, safe_0: object, safe_1: object, **more: object) -> dict[str, object]:
    row = {"prompt": prompt, "response_0": f"{prompt} zero", "response_1": f"{prompt} one"}
    return row | {"is_response_0_safe": safe_0, "is_response_1_safe": safe_1, "better_response_id": 0} | more


OLD_ROWS = [
    labelled_row("A?", True, False),
    labelled_row("B?", False, False),
    labelled_row("C?", True, True),
]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> MagicMock:
    download = MagicMock()
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", MagicMock())
    return download
