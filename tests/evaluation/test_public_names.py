"""Rows name a run by its folder's last name; two runs of one name stay apart, and no path leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from sku.core.runs import Manifest, Run, write_manifest
from sku.evaluation.public_names import public_name, with_public_names
from sku.reporting import result_files
from tests.reporting.rows import row


def make_run(folder: Path, weights: str) -> Path:
    (folder / "adapter").mkdir(parents=True)
    (folder / "adapter" / "adapter_model.safetensors").write_text(weights)
    (folder / "adapter" / "adapter_config.json").write_text("{}")
    write_manifest(folder, Manifest("sku", {}, "a base", "", status="finished"))
    return folder


@pytest.fixture(autouse=True)
def sku_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SKU_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def names(tmp_path: Path, *variants: str) -> list[tuple[str, str]]:
    """Variant and run of rows that were measured, written, read and drawn under public names."""
    rows = [row(one, method="sku", run="base" if one == "base" else one.rpartition("@")[0]) for one in variants]
    result_files.write_rows(tmp_path / "rows.jsonl", with_public_names(rows))
    read = result_files.read_rows(tmp_path / "rows.jsonl")
    assert str(tmp_path) not in (tmp_path / "rows.jsonl").read_text(encoding="utf-8")
    return [(one.variant, one.run) for one in read]


def test_a_run_at_a_path_is_named_by_its_folder(tmp_path: Path) -> None:
    mine = make_run(tmp_path / "private" / "mine", "1")
    step = make_run(mine / "step-100", "2")
    assert names(tmp_path, "base", f"{mine}@1", f"acquired:{mine}/@0.5", f"{step}@1", f"{mine / 'adapter'}@2") == [
        ("base", "base"),
        ("mine@1", "mine"),
        ("acquired:mine@0.5", "mine"),
        ("mine/step-100@1", "mine/step-100"),
        ("mine@2", "mine"),
    ]


def test_a_base_in_a_folder_is_named_by_it(tmp_path: Path) -> None:
    (tmp_path / "private" / "tiny").mkdir(parents=True)
    found = with_public_names([row("base", model=model) for model in (f"{tmp_path}/private/tiny/", "a/b", "m")])
    assert [one.model for one in found] == ["tiny", "a/b", "m"]


def test_two_runs_of_one_name_stay_apart(tmp_path: Path) -> None:
    one, other = (make_run(tmp_path / name / "mine", name) for name in ("a", "b"))
    found = names(tmp_path, f"{one}@1", f"{other}@1", f"{one}@0.5+{other}@1")
    runs = [run for _, run in found]
    assert len(set(runs)) == 3
    assert all(run.startswith("mine-") for run in runs)
    assert found[2] == (f"{runs[0]}@0.5+{runs[1]}@1", f"{runs[0]}+{runs[1]}")


@pytest.mark.parametrize("name", ["sku", "base", "kept"])
def test_a_run_is_never_given_the_name_of_another(tmp_path: Path, sku_home: Path, name: str) -> None:
    """The name would open the shipped run, or that of the page."""
    make_run(sku_home / "runs" / "kept", "1")
    mine = make_run(tmp_path / "private" / name, "2")
    ((variant, run),) = names(tmp_path, f"{mine}@1")
    assert (run.startswith(f"{name}-"), variant) == (True, f"{run}@1")


def test_a_run_of_the_page_keeps_its_name_when_it_is_given_by_its_path(tmp_path: Path, sku_home: Path) -> None:
    assert names(tmp_path, f"{make_run(sku_home / 'runs' / 'kept', '1')}@1") == [("kept@1", "kept")]


def test_signs_that_mean_something_in_a_variant_leave_the_name(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "a+b@2", "1")
    assert public_name(Run(folder, Manifest("sku", {}, "", ""))) == "a-b-2"


def test_what_is_no_path_stays(tmp_path: Path) -> None:
    kept = ("base", "sku@1", "owner/name@1", "server:large", "ga@0.5+tv@1")
    rows = [row(one) for one in kept]
    assert with_public_names(rows) == rows
