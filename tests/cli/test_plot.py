"""`plot` draws what rows under attack hold, and says what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sku.reporting import result_files
from tests.reporting.rows import ATTACKED
from tests.reporting.test_relearn_and_survival import CURVES, rounded


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    result_files.write_rows(path, [*CURVES, rounded("ga@1", "int8", {"0": 0.9}, 0.9)])
    return path


@pytest.mark.parametrize(
    ("words", "drawn"),
    [
        ([], "Worst case"),
        (["--figure", "matrix"], "Worst case"),
        (["--figure", "relearning"], "ga@1, k* \\u003e 50"),
        (["--figure", "relearning", "--attack", "relearn-10"], "ga@1, k* = 5"),
        (["--figure", "survival"], "ga@1, 90 % in all"),
        (["--figure", "outcomes"], "share of the answers"),
        (["--figure", "trade-off"], "harmful rate (95 % interval)"),
    ],
)
def test_rows_under_attack_are_drawn(sku: Any, rows: Path, words: list[str], drawn: str) -> None:
    out = rows.with_name("figure.html")
    code, _, err = sku("plot", rows, "--out", out, *words)
    assert code == 0, err
    assert drawn in out.read_text(encoding="utf-8").rpartition("plotly.js")[2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--figure", "survival"], "has no rows that this figure needs"),
        (["--figure", "relearning"], "has no rows that this figure needs"),
    ],
)
def test_what_was_not_measured_is_not_drawn(sku: Any, tmp_path: Path, words: list[str], said: str) -> None:
    result_files.write_rows(tmp_path / "rows.jsonl", ATTACKED)
    code, _, err = sku("plot", tmp_path / "rows.jsonl", "--out", tmp_path / "figure.html", *words)
    assert code == 1
    assert said in err
    assert not (tmp_path / "figure.html").exists()


def test_an_attack_without_curves_is_named_with_those_that_have_some(sku: Any, rows: Path) -> None:
    words = ("--figure", "relearning", "--attack", "int8", "--out", rows.with_name("figure.html"))
    code, _, err = sku("plot", rows, *words)
    assert code == 1
    assert "no such rows of the attack 'int8'; choose one of relearn-benign, relearn-10" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--attack", "relearn-10"], "only --figure relearning and --figure survival use --attack"),
        (["--figure", "matrix", "--attack", "relearn-10"], "use --attack; leave it out"),
        (["--outcomes", "--figure", "matrix"], "give either --outcomes or --figure matrix"),
        (["--figure", "survival", "--utility", "kl"], "--figure survival does not use --utility"),
    ],
)
def test_a_flag_that_the_figure_does_not_use_is_refused(sku: Any, rows: Path, words: list[str], said: str) -> None:
    code, _, err = sku("plot", rows, "--out", rows.with_name("figure.html"), *words)
    assert code == 2
    assert said in " ".join(err.split())
    code, _, err = sku("plot", rows.parent, "--out", rows.with_name("figure.html"), *words)
    assert code == 2
    assert "a folder has one figure" in " ".join(err.split())
