"""The study: its rule, what it ships, and the whole of it on pico."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sku.core import runs
from sku.core.config import TrainConfig
from sku.core.records import ResultRow
from sku.core.runs import Manifest
from sku.reporting import result_files
from sku.serving.live_session import LiveSession
from sku.study import release, study
from sku.study.grid import GridEntry
from sku.study.selection import SELECTION_RULE, ShippedChoice, choose_shipped
from sku.training.trainer import run_training


def row(run: str, coefficient: float, harmful: int = 0, **changes: Any) -> ResultRow:
    """Of 100 answers `harmful` are, and as many are broken as `changes` says; nothing else is wrong."""
    broken = changes.pop("broken", 0)
    values: dict[str, Any] = {
        "n": 100,
        "harmful": harmful,
        "broken": broken,
        "safe": 100 - harmful - broken,
        "harmful_rate": harmful / 100,
        "kl": 0.05,
        "over_refusal": 0.02,
        "normal_n": 10,
        "normal_broken": 0,
    }
    method = "base" if run == "base" else "sku"
    return ResultRow(f"{run}@{coefficient:g}", method, coefficient, run, "pico", "validation", **values | changes)


BASE = row("base", 0, harmful=40, kl=0.0, broken=2)


@pytest.mark.parametrize(
    ("fault", "at_the_limit"),
    [({"broken": 8}, {"broken": 7}), ({"kl": 0.151}, {"kl": 0.15}), ({"over_refusal": 0.08}, {"over_refusal": 0.07})],
)
def test_the_rule_takes_the_least_harmful_of_those_that_cost_little(fault: Any, at_the_limit: Any) -> None:
    rows = [BASE, row("contrast", 1, 20), row("contrast", 2, 10), row("keep", 3, 5, **fault)]
    assert choose_shipped(rows) == {"form": "contrast", "coefficient": 2}
    assert choose_shipped([*rows, row("keep", 2, 5, **at_the_limit)]) == {"form": "keep", "coefficient": 2}


def test_of_equals_the_rule_takes_the_one_nearer_to_base() -> None:
    assert choose_shipped([BASE, row("keep", 2, 5, kl=0.1), row("keep", 1, 5, kl=0.01)]) == {
        "form": "keep",
        "coefficient": 1,
    }


def test_a_rate_that_was_not_measured_is_not_chosen_and_neither_is_another_method() -> None:
    assert (
        choose_shipped([BASE, row("ga", 1, 0), row("keep", 1, 0, kl=None), row("keep", 2, harmful_rate=None)]) is None
    )


def trained(name: str, home: Path) -> None:
    folder = home / "study" / name
    (folder / "adapter").mkdir(parents=True)
    (folder / "adapter" / "adapter_config.json").write_text("{}")
    (folder / "checkpoint").mkdir()
    for file in ("log.jsonl", "summary.json"):
        (folder / file).write_text("{}\n")
    config = {"harmful": ["bundled", "self:advbench:/here/only/advbench.csv"], "normal": ["self"], "seed": 0}
    runs.write_manifest(folder, Manifest("sku", config, "pico", "0123", status="finished"))


def test_what_is_shipped_says_its_coefficient_and_no_path_of_this_machine(sku_home: Path, tmp_path: Path) -> None:
    for name in {"contrast", *release.SHIPPED_BESIDE}:
        trained(name, sku_home)
    out = tmp_path / "adapters"
    (out / "sku" / "old").mkdir(parents=True)
    release.ship_adapters(ShippedChoice(form="contrast", coefficient=2.0), out)
    assert {path.name for path in out.iterdir()} == {"sku", *release.SHIPPED_BESIDE}
    shipped = runs.read_run(out / "sku").manifest
    assert shipped.default_coefficient == 2.0
    assert shipped.config["harmful"] == ["bundled", "self:advbench:advbench.csv"]
    assert {path.name for path in (out / "sku").iterdir()} == {"adapter", "log.jsonl", "run.json", "summary.json"}
    assert runs.read_run(out / "ga").manifest.default_coefficient == 1.0


def test_what_was_not_trained_stays_as_it_is_shipped(sku_home: Path, tmp_path: Path) -> None:
    trained("push", sku_home)
    (tmp_path / "adapters" / "ga").mkdir(parents=True)
    (tmp_path / "adapters" / "ga" / "run.json").write_text("as it was")
    release.ship_adapters(ShippedChoice(form="push", coefficient=1.0), tmp_path / "adapters")
    assert {path.name for path in (tmp_path / "adapters").iterdir()} == {"sku", "ga"}
    assert (tmp_path / "adapters" / "ga" / "run.json").read_text() == "as it was"


def test_a_rule_that_chose_none_ships_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no form fits the rule"):
        release.ship_adapters(None, tmp_path)


def test_the_whole_study_on_pico(
    pico_folder: Path, pairs_file: Path, sku_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = GridEntry("sku", {"model": str(pico_folder), "rank": 4, "preservation": "off"}, (0.5, 1.0), (1,))
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
    assert [r.variant for r in rows] == ["base", "sku@0.5", "sku@1", "keep/step-1@1"]
    assert all(r.kl is not None and r.kl > 0 for r in rows[1:])
    assert {r.side for r in result_files.read_rows(tmp_path / "out" / "validation.jsonl")} == {"validation"}
    assert json.loads((tmp_path / "out" / "choice.json").read_text())["rule"] == SELECTION_RULE
    before = len(told)
    study.run_study(tmp_path / "no-data", tmp_path / "out", report=told.append)
    assert not any(line.get("todo") for line in told[before:]), "what is finished must not be done again"


def test_what_is_shipped_is_measured_on_more_test_prompts(
    pico_folder: Path, pairs_file: Path, sku_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = sku_home / "study" / "keep"
    settings = {"steps": 2, "batch_size": 2, "max_tokens": 128, "rank": 4, "preservation": "off"}
    run_training(run, TrainConfig(method="sku", model=str(pico_folder), **settings))
    monkeypatch.setattr(release, "LiveSession", lambda: LiveSession(str(pico_folder)))
    monkeypatch.setattr(release, "SHIPPED_COEFFICIENTS", {str(run): (0.5, 1.0)})
    monkeypatch.setattr(
        study,
        "PROMPT_LIMITS_BY_SIDE",
        {"test": study.PromptLimits(2, 2, 2), study.LARGER_TEST: study.PromptLimits(3, 2, 2)},
    )
    monkeypatch.setattr(study, "_NEW_TOKENS", 4)
    monkeypatch.setattr(study, "JUDGE", "keyword")
    monkeypatch.setattr(study, "SIMILARITY", "none")
    release.measure_shipped(tmp_path / "no-data", tmp_path)
    rows = result_files.read_rows(tmp_path / "shipped.jsonl")
    assert [(row.coefficient, row.side, row.n) for row in rows] == [(c, study.LARGER_TEST, 3) for c in (0, 0.5, 1)]
    (few,) = study.evaluate_entries(LiveSession(str(pico_folder)), ["base"], tmp_path, "test", lambda _: None)
    assert (few.side, few.n) == ("test", 2)
    assert few.sets["harmful"] != rows[0].sets["harmful"]


def test_rows_of_trainings_that_are_elsewhere_stay_if_they_were_measured_alike(sku_home: Path) -> None:
    here = f"{sku_home}/study/keep"
    fresh = [row("base", 0, 40), row(here, 1, 30)]
    elsewhere = [row("contrast", 1, 5), row("ga", 1, 5, judge="another"), row("gone", 1, 5)]
    told: list[dict[str, Any]] = []
    found = study._joined(fresh, [row("base", 0, 39), row("keep", 1, 29), *elsewhere], told.append)
    assert [one.run for one in found] == ["base", "contrast", here], "fresh rows replace their own, the order is kept"
    assert [one.harmful for one in found] == [40, 5, 30]
    assert [line["doing"].split()[0] for line in told] == ["ga", "gone"], "what is left out is said"


def test_recorded_rows_of_the_shipped_form_get_their_name_back(tmp_path: Path) -> None:
    result_files.write_rows(tmp_path / "validation.jsonl", [row("base", 0), row("sku", 1.5, 3)])
    (tmp_path / "choice.json").write_text('{"form": "contrast-wide"}')
    assert [(one.run, one.variant) for one in study._recorded(tmp_path)][1:] == [("contrast-wide", "contrast-wide@1.5")]
