"""The whole study on pico, and rows that were recorded before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sku.core.records import ResultRow
from sku.reporting import result_files
from sku.serving.live_session import LiveSession
from sku.study import study
from sku.study.grid import GRID, GridEntry
from sku.study.selection import SELECTION_RULE
from tests.study.rows import row


def test_the_whole_study_on_pico(
    pico_folder: Path, pairs_file: Path, sku_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = GridEntry("sku", {"model": str(pico_folder), "rank": 4, "preservation": "off"}, (0.5, 1.0))
    monkeypatch.setattr(study, "GRID", {"keep": entry})
    monkeypatch.setattr(study, "COMMON_SETTINGS", {"steps": 2, "batch_size": 2, "max_tokens": 128})
    monkeypatch.setattr(study, "LiveSession", lambda: LiveSession(str(pico_folder)))
    monkeypatch.setattr(
        study, "PROMPT_LIMITS_BY_SIDE", dict.fromkeys(("validation", "test"), study.PromptLimits(2, 2, 2))
    )
    monkeypatch.setattr(study, "_NEW_TOKENS", 4)
    monkeypatch.setattr(study, "JUDGE", "keyword")
    monkeypatch.setattr(study, "SIMILARITY", "none")
    told: list[dict[str, Any]] = []
    (tmp_path / "no-data").mkdir()
    chosen = study.run_study(tmp_path / "no-data", tmp_path / "out", report=told.append)
    assert any("advbench.csv is not in" in line["doing"] for line in told)
    rows = result_files.read_rows(tmp_path / "out" / "study.jsonl")
    assert chosen is not None, "two steps change pico so little that the rule takes one of its rows"
    assert (chosen["form"], chosen["coefficient"]) in {("keep", 0.5), ("keep", 1.0)}
    assert [r.variant for r in rows] == ["base", "sku@0.5", "sku@1"]
    assert all(r.kl is not None and r.kl > 0 for r in rows[1:])
    assert {r.side for r in result_files.read_rows(tmp_path / "out" / "validation.jsonl")} == {"validation"}
    assert json.loads((tmp_path / "out" / "choice.json").read_text())["rule"] == SELECTION_RULE
    before = len(told)
    study.run_study(tmp_path / "no-data", tmp_path / "out", report=told.append)
    assert not any(line.get("todo") for line in told[before:]), "what is finished must not be done again"


def test_test_prompts_are_for_the_chosen_settings_at_their_coefficient(
    sku_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harmful = {"tuned-npo-slow-mlp": 10, "tuned-npo-fast-mlp": 20, "dpo": 5}
    asked: dict[str, list[str]] = {}

    def measure(_: object, variants: list[str], __: Path, prompts: str, *___: object) -> list[ResultRow]:
        asked[prompts] = [Path(variant).name for variant in variants]
        parsed = [variant.rpartition("@") for variant in variants[1:]]
        rows = [row(name, float(c), harmful[Path(name).name], side=prompts) for name, _, c in parsed]
        return [row("base", 0, 40, side=prompts), *rows]

    monkeypatch.setattr(study, "_train", lambda folder, *_: (folder / "adapter").mkdir(parents=True, exist_ok=True))
    monkeypatch.setattr(study, "GRID", {name: GRID[name] for name in harmful})
    monkeypatch.setattr(study, "largest_coefficients", lambda _, trainings, *__: dict.fromkeys(trainings, 0.75))
    monkeypatch.setattr(study, "evaluate_entries", measure)
    out = tmp_path / "out"
    result_files.write_rows(out / "study.jsonl", [row("base", 0, 40), row("tuned-npo-fast-mlp", 0.75, 20, side="test")])
    study.run_study(tmp_path, out)
    assert asked == {
        "validation": ["base", "tuned-npo-slow-mlp@0.75", "tuned-npo-fast-mlp@0.75"],
        "test": ["base", "tuned-npo-slow-mlp@0.75", "dpo@0.75"],
    }
    rows = result_files.read_rows(out / "study.jsonl")
    assert [one.run for one in rows] == ["base", "tuned-npo-slow-mlp", "dpo"], "the one passed over leaves"
    assert json.loads((out / "choice.json").read_text())["tuned"]["tuned-npo"]["training"] == "tuned-npo-slow-mlp"


def test_rows_of_trainings_that_are_elsewhere_stay_if_they_were_measured_alike(sku_home: Path) -> None:
    here = f"{sku_home}/study/keep"
    fresh = [row("base", 0, 40), row(here, 1, 30)]
    elsewhere = [row("tv", 1, 5), row("ga", 1, 5, judge="another"), row("gone", 1, 5)]
    told: list[dict[str, Any]] = []
    found = study._merge_rows(fresh, [row("base", 0, 39), row("keep", 1, 29), *elsewhere], told.append)
    assert [one.run for one in found] == ["base", here, "tv"], "fresh rows replace their own, the order is kept"
    assert [one.harmful for one in found] == [40, 30, 5]
    assert [line["doing"].split()[0] for line in told] == ["ga", "gone"], "what is left out is said"


def test_recorded_rows_of_the_shipped_form_get_their_name_back(tmp_path: Path) -> None:
    result_files.write_rows(tmp_path / "validation.jsonl", [row("base", 0), row("sku", 1.5, 3)])
    (tmp_path / "choice.json").write_text('{"form": "contrast-wide"}')
    assert [(one.run, one.variant) for one in study._read_earlier_rows(tmp_path)][1:] == [
        ("contrast-wide", "contrast-wide@1.5")
    ]


def test_sources_that_are_files_are_found_in_the_data_folder_or_left_out(tmp_path: Path) -> None:
    files = {"advbench": tmp_path / "advbench.csv"}
    specs = ("bundled", "advbench", "prefilled:advbench", "self:do_not_answer", "self")
    path = files["advbench"]
    assert study.located_specs(specs, files) == ("bundled", f"advbench:{path}", f"prefilled:advbench:{path}", "self")
