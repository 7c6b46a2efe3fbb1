"""Rows survive the disk, and a damaged line is named."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest

from sku.reporting import result_files
from sku.reporting.result_files import (
    attack_measurements,
    check_rows_file,
    own_rows,
    read_rows,
    recorded_rows,
    rows_as_frame,
    write_rows,
)
from tests.reporting.rows import ATTACKED, BASE, attacked, row


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    rows = [BASE, row("sku@1", 0.1, 0.25, decoding={"seed": 3}, sets={"bundled": "ab12"}, seed=7, judge="é-1")]
    write_rows(tmp_path / "new" / "rows.jsonl", rows)
    assert read_rows(tmp_path / "new" / "rows.jsonl") == rows


def test_only_a_file_of_rows_may_be_replaced_by_rows(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [BASE])
    (tmp_path / "empty.jsonl").touch()
    for name in ("rows.jsonl", "empty.jsonl", "new.jsonl"):
        check_rows_file(tmp_path / name)
    for name, content in {"data.jsonl": '{"prompt": "Who?"}\n', "notes.txt": "Notes.\n", "run.json": "{\n}"}.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
        with pytest.raises(ValueError, match="holds something else than result rows, which would be lost; name a new"):
            check_rows_file(tmp_path / name)


def test_a_file_from_before_attacks_is_read(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps(GOOD) + "\n", encoding="utf-8")
    (found,) = read_rows(tmp_path / "rows.jsonl")
    assert (found.variant, found.attack) == ("sku@1", None)


def test_off_topic_answers_of_an_older_file_are_taken_out_of_the_safe_ones(tmp_path: Path) -> None:
    """Earlier versions counted them among the safe ones as well."""
    path, new = tmp_path / "rows.jsonl", attacked("sku@2", "int4", 5, off_topic=2)
    values = dataclasses.asdict(new)
    for safe in (new.safe, new.safe + 2):
        path.write_text(json.dumps(values | {"safe": safe}) + "\n")
        assert read_rows(path) == [new]
    path.write_text(json.dumps(values | {"safe": new.safe + 1}) + "\n")
    with pytest.raises(ValueError, match="add up to"):
        read_rows(path)


def test_writing_replaces_and_leaves_nothing_beside(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [BASE] * 5)
    write_rows(tmp_path / "rows.jsonl", [])
    assert read_rows(tmp_path / "rows.jsonl") == []
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_a_number_that_is_not_finite_is_unknown(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [row("ga@1", 0.0, math.nan, perplexity=math.inf)])
    (found,) = read_rows(tmp_path / "rows.jsonl")
    assert (found.kl, found.perplexity) == (None, None)


GOOD = {"variant": "sku@1", "method": "sku", "coefficient": 1.0, "run": "sku", "model": "m", "side": "test"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{half", "is not JSON (Expecting property name enclosed in double quotes at character 2); delete the line"),
        ("[1, 2]", "is not an object"),
        (json.dumps(GOOD | {"tomorrow": 1}), "unknown column 'tomorrow'"),
        (json.dumps({"variant": "sku@1"}), "lacks the column 'method'"),
        (json.dumps({"prompt": "Who?"}), "is no result row; give a file that evaluate or attack wrote"),
        (json.dumps(GOOD | {"kl": "low"}), "line 3: kl is 'low'; it must be a valid number"),
        (json.dumps(GOOD | {"n": None}), "line 3: n is None; it must be a valid integer"),
        (json.dumps(GOOD | {"n": True}), "line 3: n is True; it must be a valid integer"),
        (json.dumps(GOOD | {"n": 0.0}), "line 3: n is 0.0; it must be a valid integer"),
        (json.dumps(GOOD | {"kl": True}), "line 3: kl is True; it must be a valid number"),
        (json.dumps(GOOD | {"kl": math.nan}), "line 3: kl is nan; it must be a finite number"),
        (json.dumps(GOOD | {"kl": -math.inf}), "line 3: kl is -inf; it must be a finite number"),
        (json.dumps(GOOD | {"sets": ["a"]}), "line 3: sets is ['a']; it must be an object"),
        (json.dumps(GOOD | {"n": 3}), "line 3: outcomes of sku@1 add up to 0, not to its 3 answers"),
    ],
)
def test_a_line_that_is_no_row_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(GOOD) + "\n\n" + line + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"rows\.jsonl, line 3") as error:
        read_rows(path)
    assert said in str(error.value)
    assert str(error.value).count("line 3") == 1
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_is_an_error_but_a_study_that_is_not_there_is_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FileNotFoundError):
        read_rows(tmp_path / "rows.jsonl")
    monkeypatch.setattr(result_files, "RECORDED_STUDY", tmp_path / "study.jsonl")
    assert recorded_rows() == []
    write_rows(tmp_path / "study.jsonl", [BASE])
    assert recorded_rows() == [BASE]
    write_rows(tmp_path / "validation.jsonl", [row("base", side="validation")])
    assert [one.side for one in recorded_rows()] == ["test", "validation"]


def test_a_damaged_file_of_a_visitor_hides_no_other(sku_home: Path) -> None:
    assert own_rows() == ([], [])
    write_rows(sku_home / "results" / "b.jsonl", [BASE])
    (sku_home / "results" / "a.jsonl").write_text("{half\n", encoding="utf-8")
    rows, faults = own_rows()
    assert rows == [BASE]
    assert len(faults) == 1
    assert "a.jsonl, line 1" in faults[0]


def test_a_table_has_a_line_a_row_and_a_column_a_field() -> None:
    frame = rows_as_frame([BASE, row("sku@1", 0.1, 0.25, decoding={"seed": 3})])
    assert list(frame["variant"]) == ["base", "sku@1"]
    assert list(frame["kl"]) == [0.0, 0.25]
    assert frame["decoding"][1] == '{"seed": 3}'
    assert list(rows_as_frame([]).columns) == list(frame.columns)


def test_a_row_whose_variant_cannot_be_asked_is_named(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [row("mine@20", method="tv")])
    with pytest.raises(ValueError, match=r"line 1: coefficient '20' of variant 'mine@20'"):
        read_rows(tmp_path / "rows.jsonl")


@pytest.fixture
def recorded_attacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where recorded attacks would be; nothing is there yet."""
    path = tmp_path / "recorded" / "robustness.jsonl"
    monkeypatch.setattr(result_files, "RECORDED_ATTACKS", path)
    return path


def job(home: Path, name: str, owner: str | None, variant: str) -> None:
    folder = home / "attacks" / "jobs" / name
    write_rows(folder / "rows.jsonl", [attacked(variant, "int4", 3)])
    (folder / "job.json").write_text(json.dumps({"owner": owner} if owner else {}), encoding="utf-8")


def test_attacks_are_recorded_ones_first_then_their_owners(sku_home: Path, recorded_attacks: Path) -> None:
    assert attack_measurements() == ([], [])
    job(sku_home, "1", "me", "sku@1")
    job(sku_home, "2", "you", "ga@1")
    write_rows(sku_home / "results" / "mine.jsonl", [BASE, *ATTACKED])
    write_rows(recorded_attacks, ATTACKED)
    assert [one.name for one in attack_measurements("me")[0]] == ["recorded", "1"]
    write_rows(recorded_attacks.with_name("robustness_full.jsonl"), ATTACKED)
    assert [one.name for one in attack_measurements("me")[0]] == ["recorded", "recorded-full", "1"]
    recorded_attacks.with_name("robustness_full.jsonl").unlink()
    found, faults = attack_measurements()
    assert (found[0].name, sorted(one.name for one in found), faults) == (
        "recorded",
        ["1", "2", "mine", "recorded"],
        [],
    )
    (mine,) = [one for one in found if one.name == "mine"]
    assert mine.rows == ATTACKED, "the evaluated row among them is no row under attack"


def test_rows_under_attack_are_no_points_of_the_trade_off(sku_home: Path) -> None:
    write_rows(sku_home / "results" / "mine.jsonl", [BASE, *ATTACKED])
    assert own_rows() == ([BASE], [])


def test_a_damaged_file_of_attacks_hides_no_other(sku_home: Path, recorded_attacks: Path) -> None:
    job(sku_home, "1", None, "sku@1")
    (sku_home / "results").mkdir()
    (sku_home / "results" / "bad.jsonl").write_text("{half\n", encoding="utf-8")
    found, (fault,) = attack_measurements()
    assert [one.name for one in found] == ["1"]
    assert "bad.jsonl, line 1 is not JSON" in fault
