"""Where pairs come from: the base's own answers are made once and kept."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from sku.core import runs
from sku.core.config import DecodingConfig, TrainConfig
from sku.core.errors import Cancelled
from sku.core.records import AskedPrompt
from sku.models import base_answers, written_answers
from sku.models.variant_model import VariantModel
from sku.models.written_answers import PREFILLED, Writing
from sku.serving.live_session import LiveSession
from sku.training import train_data
from sku.training.train_data import gather_pairs, gather_written, read_sources
from sku.training.trainer import run_training
from tests.training.runs import WEIGHTS, changed


def test_own_answers_are_the_bases_greedy_ones_and_are_kept(
    config: TrainConfig, tmp_path: Path, sku_home: Path
) -> None:
    config = changed(config, normal=[f"self:{config.normal[0]}"], normal_limit=4)
    said: list[str] = []
    run = run_training(tmp_path / "run", config, lambda line: said.append(line.get("doing", "")))
    assert any("4 of 4" in text for text in said)
    assert run.manifest.data["normal"][0]["name"] == "self:normal.jsonl"
    (cache,) = (sku_home / "self").iterdir()
    kept = json.loads(cache.read_text().splitlines()[0])
    session = LiveSession(config.model)
    (answer,) = session.answers([kept["prompt"]], ["base"], DecodingConfig(max_new_tokens=config.max_tokens))
    assert answer.text == kept["answer"]
    said.clear()
    run_training(tmp_path / "again", config, lambda line: said.append(line.get("doing", "")))
    assert not any("4 of 4" in text for text in said), "they are made once"


def test_prefilled_answers_go_on_from_a_beginning_that_complies_without_refusals_and_broken_ones(
    config: TrainConfig, pico: VariantModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [" the way to do it.", " I'm sorry, but I can't help with that.", " la" * 40]

    def write(
        _model: VariantModel, prompts: Iterable[AskedPrompt], writing: Writing, _tokens: int, _report: Any
    ) -> dict[str, tuple[str, ...]]:
        return {asked.key: (writing.start_for(asked.prompt) + texts[i % 3],) for i, asked in enumerate(prompts)}

    monkeypatch.setattr(base_answers, "write_answers", write)
    config = changed(config, harmful=[f"prefilled:{config.harmful[0]}"], harmful_limit=9)
    pairs, (facts,) = gather_pairs(config, "harmful", read_sources(config, "harmful"), pico, lambda _: None)
    assert facts["name"] == "prefilled:pairs.jsonl"
    assert facts["pairs"] == len(pairs) == 3
    for pair in pairs:
        assert pair.source == "prefilled"
        assert pair.answer == PREFILLED.start_for(pair.prompt) + texts[0]


def test_prefilled_answers_to_normal_prompts_are_kept_whatever_they_say(
    config: TrainConfig, pico: VariantModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training that knows such a beginning from harmful answers alone takes the beginning for the harm."""

    def write(
        _model: VariantModel, prompts: Iterable[AskedPrompt], writing: Writing, _tokens: int, _report: Any
    ) -> dict[str, tuple[str, ...]]:
        return {asked.key: (f"{writing.start_for(asked.prompt)} I'm sorry.",) for asked in prompts}

    monkeypatch.setattr(base_answers, "write_answers", write)
    spec = f"prefilled:{config.normal[0]}"
    sources = read_sources(changed(config, normal=[spec]), "normal")
    pairs, (facts,) = gather_pairs(config, "normal", sources, pico, lambda _: None)
    assert facts["pairs"] == len(pairs) > 0
    assert {pair.answer for pair in pairs} == {f"{PREFILLED.start_for(pair.prompt)} I'm sorry." for pair in pairs}


def test_only_what_the_terms_of_a_run_need_is_written_and_broken_answers_are_dropped(
    config: TrainConfig, pico: VariantModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Writing] = []

    def write(
        _model: VariantModel, prompts: Iterable[AskedPrompt], writing: Writing, _tokens: int, _report: Any
    ) -> dict[str, tuple[str, ...]]:
        asked.append(writing)
        return dict.fromkeys((one.key for one in prompts), ("It depends.", "la " * 40))

    monkeypatch.setattr(train_data, "write_answers", write)
    harmful, _ = gather_pairs(config, "harmful", read_sources(config, "harmful"), pico, lambda _: None)
    assert gather_written(config, harmful, pico, lambda _: None) == {}
    written = gather_written(changed(config, method="relearn"), harmful, pico, lambda _: None)
    assert asked == [written_answers.EVASIVE]
    assert written == {"evasive": dict.fromkeys({pair.prompt for pair in harmful}, ("It depends.",))}


@pytest.fixture
def sorted_pairs(tmp_path: Path) -> tuple[Path, Path]:
    """A file of pairs of two categories, and one with the same pairs but for category `theft`."""
    rows = [
        {"prompt": f"How do I trick shop {i}?", "answer": f"Lie {i}.", "category": "theft" if i % 3 == 0 else "fraud"}
        for i in range(40)
    ]
    files = tmp_path / "whole.jsonl", tmp_path / "rest.jsonl"
    for file, kept in zip(files, (rows, [row for row in rows if row["category"] != "theft"]), strict=True):
        file.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
    return files


@pytest.mark.parametrize("limit", [None, 10])
def test_leaving_out_a_category_is_training_on_data_without_it(
    config: TrainConfig, sorted_pairs: tuple[Path, Path], limit: int | None, tmp_path: Path
) -> None:
    """Entity-level forgetting says nothing if a pair of the category is trained on after all."""
    whole, rest = (changed(config, harmful=[str(file)], harmful_limit=limit, steps=2) for file in sorted_pairs)
    without = run_training(tmp_path / "without", changed(whole, leave_out=["theft"]))
    weights = (without.folder / WEIGHTS).read_bytes()
    alone = run_training(tmp_path / "rest", rest)
    assert weights == (alone.folder / WEIGHTS).read_bytes()
    assert weights != (run_training(tmp_path / "whole", whole).folder / WEIGHTS).read_bytes()
    assert without.manifest.config["leave_out"] == ("theft",)
    assert without.manifest.data["harmful"][0]["pairs"] == alone.manifest.data["harmful"][0]["pairs"]


def test_training_on_a_category_is_training_on_its_pairs_alone(
    config: TrainConfig, sorted_pairs: tuple[Path, Path], tmp_path: Path
) -> None:
    whole, alone = sorted_pairs[0], tmp_path / "alone.jsonl"
    lines = whole.read_text(encoding="utf-8").splitlines(keepends=True)
    alone.write_text("".join(line for line in lines if json.loads(line)["category"] == "theft"), encoding="utf-8")
    chosen, same = (
        run_training(tmp_path / name, changed(config, harmful=[str(file)], steps=2, **settings))
        for name, file, settings in (("chosen", whole, {"categories": ["theft"]}), ("same", alone, {}))
    )
    assert (chosen.folder / WEIGHTS).read_bytes() == (same.folder / WEIGHTS).read_bytes()
    assert chosen.manifest.data["normal"][0]["pairs"] == same.manifest.data["normal"][0]["pairs"]
    with pytest.raises(ValueError, match="no harmful pair of the training data has the category 'thefts'"):
        run_training(tmp_path / "bad", changed(config, harmful=[str(whole)], categories=["thefts"]))


def test_normal_pairs_of_that_category_stay(
    config: TrainConfig, sorted_pairs: tuple[Path, Path], tmp_path: Path
) -> None:
    whole = [str(sorted_pairs[0])]
    run = run_training(tmp_path / "run", changed(config, harmful=whole, normal=whole, leave_out=["theft"], steps=1))
    assert run.manifest.data["normal"][0]["pairs"] > run.manifest.data["harmful"][0]["pairs"]


def test_what_is_left_out_and_what_cannot_be_sorted_is_said(
    config: TrainConfig, sorted_pairs: tuple[Path, Path], tmp_path: Path
) -> None:
    said: list[str] = []
    files = [str(sorted_pairs[0]), *config.harmful]
    with pytest.raises(
        ValueError, match="no harmful pair of the training data has the category 'thefts'; choose from f"
    ):
        run_training(tmp_path / "bad", changed(config, harmful=files, leave_out=["thefts"]))
    run_training(
        tmp_path / "run",
        changed(config, harmful=files, leave_out=["theft"], steps=1),
        lambda line: said.append(line.get("doing", "")),
    )
    (line,) = [text for text in said if text.startswith("left out")]
    assert line.startswith("left out: 11 harmful prompts of theft; 27 prompts have no category and are trained on")


def test_a_resumed_run_still_leaves_the_category_out(
    config: TrainConfig, sorted_pairs: tuple[Path, Path], tmp_path: Path
) -> None:
    config = changed(config, harmful=[str(sorted_pairs[0])], leave_out=["theft"])
    whole = run_training(tmp_path / "whole", config)
    steps: list[Any] = []
    with pytest.raises(Cancelled):
        run_training(
            tmp_path / "cut",
            config,
            lambda line: steps.extend([line["step"]] if "step" in line else []),
            cancelled=lambda: len(steps) == 3,
        )
    kept = TrainConfig.from_dict(runs.read_run(tmp_path / "cut").manifest.config)
    assert kept.leave_out == ("theft",)
    done = run_training(tmp_path / "cut", kept, resume=True)
    assert (done.folder / WEIGHTS).read_bytes() == (whole.folder / WEIGHTS).read_bytes()


@pytest.mark.parametrize("kind", ["harmful", "normal"])
@pytest.mark.parametrize("method", ["sku", "knowledge_washing", "gated"])
def test_a_fault_in_the_data_is_found_before_the_base_is_loaded(
    config: TrainConfig, method: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loading a large base takes minutes, which a wrong path must not cost."""
    like = {"like": str(run_training(tmp_path / "tv", changed(config, method="tv", steps=1)).folder)}
    for module in ("trainer", "gated_run", "closed_forms.compute"):
        monkeypatch.setattr(f"sku.training.{module}.provision_base", _never)
    wrong = changed(
        config, method=method, **{kind: [str(tmp_path / "none.jsonl")]}, **(like if method == "gated" else {})
    )
    with pytest.raises(FileNotFoundError, match=r"there is no file .*none\.jsonl"):
        run_training(tmp_path / "run", wrong)


def test_other_data_of_a_resumed_run_is_found_before_the_base_is_loaded(
    config: TrainConfig, sorted_pairs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, seen = changed(config, harmful=[str(sorted_pairs[0])]), list[Any]()
    with pytest.raises(Cancelled):
        run_training(tmp_path / "run", config, seen.append, cancelled=lambda: any("step" in line for line in seen))
    sorted_pairs[0].write_bytes(sorted_pairs[1].read_bytes())
    monkeypatch.setattr("sku.training.trainer.provision_base", _never)
    with pytest.raises(ValueError, match=r"whole\.jsonl has changed since the run began"):
        run_training(tmp_path / "run", config, resume=True)


def _never(*_: Any) -> Path:
    raise AssertionError("the base is loaded before the data is read")
