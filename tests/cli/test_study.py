"""`study` writes the tables of the documents, or says what it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def test_study_rewrites_the_tables_of_the_documents_alone(
    sku: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sku.cli.documents.REPOSITORY", tmp_path)
    (tmp_path / "README.md").write_text("<!-- table: summary -->\nold\n<!-- /table -->\n", encoding="utf-8")
    code, out, err = sku("study", "--tables")
    assert code == 0, err
    assert out == f"wrote {tmp_path / 'README.md'}\n"
    assert "| `sku@0.8` |" in (tmp_path / "README.md").read_text(encoding="utf-8")
    assert sku("study", "--tables")[1] == "all tables are up to date; nothing was written\n"


def test_study_without_data_says_what_it_needs(sku: Any) -> None:
    code, out, err = sku("study")
    assert (code, out) == (2, "")
    assert "--data" in err
    assert "--tables" in err
