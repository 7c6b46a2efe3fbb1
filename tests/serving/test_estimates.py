"""How long a training takes is told from a run that was measured, with everything counted and nobody named."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from sku.core import runs
from sku.core.config import TrainConfig, find_preset
from sku.core.records import PromptPair
from sku.core.runs import Manifest
from sku.serving.estimates import START_SECONDS, _Pace, estimate_training, probes
from sku.training.train_data import choose_training_pairs

OVERHEAD = START_SECONDS + _Pace.loading


@pytest.fixture
def config(pico_folder: Path) -> TrainConfig:
    return TrainConfig(model=str(pico_folder), normal=("bundled",), steps=6, batch_size=2)


def past_run(sku_home: Path, config: TrainConfig, **facts: object) -> Path:
    folder = sku_home / "runs" / "before"
    folder.mkdir(parents=True)
    about = Manifest("sku", config.to_dict(), config.model, "f", status="finished", step=6, seconds=60.0)
    runs.write_manifest(folder, dataclasses.replace(about, **facts))  # type: ignore[arg-type]
    return folder


def test_an_estimate_comes_from_a_run_of_the_same_method_here(config: TrainConfig, sku_home: Path) -> None:
    unknown = estimate_training(config)
    assert unknown.seconds is None
    assert "no run of sku" in unknown.source
    folder = past_run(sku_home, config)
    assert estimate_training(config).seconds == pytest.approx(OVERHEAD + 60)
    larger = dataclasses.replace(config, steps=12, batch_size=4)
    assert estimate_training(larger).seconds == pytest.approx(OVERHEAD + 240)
    lines = [json.dumps({"step": i, "seconds": 2.0}) + "\n" for i in range(6)]
    (folder / runs.LOG).write_text("".join(lines))
    assert estimate_training(config).seconds == pytest.approx(OVERHEAD + 12)
    assert estimate_training(config).source == "as the last run took here", "a run is not named: it may be another's"
    shipped = estimate_training(TrainConfig(method="ga"))
    assert "the shipped run of this method" in shipped.source
    assert shipped.seconds is not None


def test_probes_loading_and_the_answers_of_the_base_are_counted(config: TrainConfig, sku_home: Path) -> None:
    timed = dataclasses.replace(config, probe_every=3)
    spent = {"loading": 7.0, "answers": 20.0, "preparing": 11.0, "steps": 60.0, "probes": 9.0}
    past_run(sku_home, timed, spent=spent, answers_written=10)
    assert probes(timed) == 3
    assert estimate_training(timed).seconds == pytest.approx(START_SECONDS + 7 + 11 + 60 + 9)
    own = dataclasses.replace(timed, normal=("self",), normal_limit=5)
    found = estimate_training(own)
    assert found.answers == 5, "none of them is in the cache"
    assert found.seconds == pytest.approx(START_SECONDS + 7 + 11 + 60 + 9 + 5 * 2.0)
    cache = sku_home / "self" / f"f-{own.max_tokens}.jsonl"
    cache.parent.mkdir()
    prompts = sorted({p.prompt for p in load_chosen(own)})
    cache.write_text("".join(json.dumps({"prompt": one, "answer": "So."}) + "\n" for one in prompts[:3]))
    assert estimate_training(own).answers == 2


def load_chosen(config: TrainConfig) -> tuple[PromptPair, ...]:
    return choose_training_pairs(config, "normal", "self").chosen


@pytest.mark.parametrize(("steps", "every", "first", "due"), [(6, 3, 0, 3), (7, 3, 0, 4), (7, 3, 4, 2), (7, 0, 0, 0)])
def test_probes_are_counted_at_the_start_at_intervals_and_at_the_end(
    steps: int, every: int, first: int, due: int
) -> None:
    assert probes(TrainConfig(steps=steps, probe_every=every), first) == due


def test_a_first_quick_run_is_expected_to_take_under_five_minutes_and_writes_no_answer() -> None:
    found = estimate_training(find_preset("quick").config(probe_every=6))
    assert found.answers == 0, "the answers of the base that the preset needs come with the project"
    assert found.seconds is not None
    assert found.seconds < 300
    assert "as the shipped run of this method took" in found.source
