"""What is shipped, and what is measured of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sku.core import runs
from sku.core.config import TrainConfig
from sku.core.runs import Manifest
from sku.reporting import result_files
from sku.serving.live_session import LiveSession
from sku.study import release, study
from sku.study.selection import ShippedChoice
from sku.training.trainer import run_training


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


def test_a_gated_run_is_shipped_with_its_gate_and_names_the_shipped_run(sku_home: Path, tmp_path: Path) -> None:
    trained("contrast", sku_home)
    trained("sku_gated", sku_home)
    gated = sku_home / "study" / "sku_gated"
    for file in ("log.jsonl", "summary.json"):
        (gated / file).unlink()
    (gated / runs.GATE).write_bytes(b"the gate")
    config = {"harmful": ["bundled"], "normal": ["bundled"], "like": str(sku_home / "study" / "contrast")}
    note = "contrast with a hard gate after block 2"
    runs.write_manifest(gated, Manifest("gated", config, "pico", "0123", status="finished", note=note))
    release.ship_adapters(ShippedChoice(form="contrast", coefficient=2.0), tmp_path / "adapters")
    shipped = runs.read_run(tmp_path / "adapters" / "sku_gated")
    assert (shipped.folder / runs.GATE).read_bytes() == b"the gate"
    assert shipped.manifest.config["like"] == "sku"
    assert shipped.manifest.note == "sku with a hard gate after block 2"
    assert shipped.manifest.default_coefficient == release.OPENS_AT["sku_gated"]


def test_what_was_not_trained_stays_as_it_is_shipped(sku_home: Path, tmp_path: Path) -> None:
    trained("push", sku_home)
    (tmp_path / "adapters" / "ga").mkdir(parents=True)
    (tmp_path / "adapters" / "ga" / "run.json").write_text("as it was")
    release.ship_adapters(ShippedChoice(form="push", coefficient=1.0), tmp_path / "adapters")
    assert {path.name for path in (tmp_path / "adapters").iterdir()} == {"sku", "ga"}
    assert (tmp_path / "adapters" / "ga" / "run.json").read_text() == "as it was"


def test_a_rule_that_chose_none_ships_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no form satisfies the selection rule"):
        release.ship_adapters(None, tmp_path)


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
