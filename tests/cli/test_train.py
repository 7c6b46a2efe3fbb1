"""Which settings a training gets from a preset, a file and flags. Nothing is trained here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sku.cli import train as command
from sku.core.config import TrainConfig, find_preset
from sku.core.runs import Manifest, write_manifest


@pytest.fixture
def config_of(sku: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The config that `train` would run with, for given flags."""
    seen: list[TrainConfig] = []
    monkeypatch.setattr(command, "_run", lambda _out, config, *_: seen.append(config))

    def config(*flags: object) -> TrainConfig:
        code, _, err = sku("train", "--out", tmp_path / "run", *flags)
        assert code == 0, err
        return seen.pop()

    return config


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "settings.json"
    settings = TrainConfig(steps=7, rank=2, weights={"preservation": 5.0, "distortion": 1.0}).to_dict()
    path.write_text("\ufeff" + json.dumps(settings), encoding="utf-8")
    return path


def test_flags_and_set_go_before_the_preset(config_of: Any) -> None:
    targets = ("--target", "q_proj", "--target", "k_proj")
    found = config_of("--preset", "quick", "--steps", 5, *targets, "--set", "clip=null")
    assert (found.steps, found.targets, found.clip) == (5, ("q_proj", "k_proj"), None)
    assert found.max_tokens == find_preset("quick").settings["max_tokens"]
    assert config_of("--method", "sku", "--weight", "distortion=1").weights == {"preservation": 5.0, "distortion": 1.0}


def test_categories_to_train_on_are_settings(config_of: Any) -> None:
    assert config_of("--category", "hacking", "--category", "drugs").categories == ("hacking", "drugs")
    assert config_of().categories == ()


def test_categories_to_leave_out_are_settings(config_of: Any) -> None:
    assert config_of("--leave-out", "hacking", "--leave-out", "drugs").leave_out == ("hacking", "drugs")
    assert config_of() == find_preset("quick").config(), "by default nothing is left out"


def test_flags_go_before_a_file_and_leave_its_other_weights(config_of: Any, file: Path) -> None:
    found = config_of("--config", file, "--rank", 9, "--weight", "disassociation=3")
    assert (found.steps, found.rank) == (7, 9)
    assert found.weights == {"preservation": 5.0, "distortion": 1.0, "disassociation": 3.0}
    assert config_of("--config", file) == TrainConfig.from_dict(json.loads(file.read_text(encoding="utf-8-sig")))


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (["--config", "gone.json"], 1, "there is no file 'gone.json'"),
        (["--config", "FILE", "--preset", "tiny"], 2, "give either --preset or --config, not both"),
        (["--steps", "3", "--set", "steps=4"], 2, "--steps sets steps too; leave out one of them"),
        (["--resume", "--steps", "3"], 2, "these were given: --steps; leave them out"),
        (["--resume", "--leave-out", "drugs"], 2, "these were given: --leave-out; leave them out"),
        (["--set", "clip=null", "--set", "clip=1"], 2, "clip is given twice; leave out one of them"),
        (["--weight", "distortion=1", "--weight", "distortion=2"], 2, "distortion is given twice"),
        (["--resume", "--set", "steps=3"], 2, "these were given: --set;"),
        (["--resume", "--preset", "tiny"], 2, "these were given: --preset;"),
        (["--like", "sku"], 2, "only --method random and gated use it, not sku"),
        (["--preset", "tiny", "--snapshot", "3", "--snapshot", "7"], 1, "--snapshot 7: the run has 6 steps"),
        (["--config", "FILE", "--snapshot", "8"], 1, "--snapshot 8: the run has 7 steps"),
        (["--weight", "three"], 2, "is not of the form TERM=NUMBER"),
        (["--set", "ranks=3"], 1, "did you mean rank?"),
    ],
)
def test_flags_that_contradict_each_other_are_refused(
    sku: Any, tmp_path: Path, file: Path, flags: list[str], code: int, said: str
) -> None:
    (tmp_path / "run").mkdir()
    write_manifest(tmp_path / "run", Manifest("sku", TrainConfig().to_dict(), "pico", ""))
    found, _, err = sku("train", "--out", tmp_path / "run", *(str(file) if flag == "FILE" else flag for flag in flags))
    assert (found, said in " ".join(err.split())) == (code, True), err


def test_a_broken_file_of_settings_is_named(sku: Any, tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_text("{", encoding="utf-8")
    code, _, err = sku("train", "--out", tmp_path / "run", "--config", path)
    assert code == 1
    assert "broken.json is not JSON" in err
