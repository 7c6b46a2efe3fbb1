"""lm-evaluation-harness measures a variant as any other model: the real harness, on a task file with its own data."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer
from typer.testing import CliRunner

from sku.__main__ import app
from sku.core.runs import Manifest, write_manifest
from sku.evaluation.lm_eval_harness import check_tasks, run_harness
from sku.models.variant_model import VariantModel
from tests.conftest import save_adapter

# As many letters in each choice: a shorter one is likelier whatever the weights.
CHOICES = ["cat", "dog", "sun", "rat"]
QUESTIONS = [("Why?", CHOICES, 0), ("How so?", CHOICES, 1), ("Which one?", CHOICES, 2), ("Whose?", CHOICES, 2)]


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A task of four questions."""
    pytest.importorskip("lm_eval")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "datasets"))
    lines = [json.dumps({"question": q, "choices": c, "right": right}) for q, c, right in QUESTIONS]
    (tmp_path / "questions.jsonl").write_text("\n".join(lines) + "\n")
    settings = {
        "task": "four_questions",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(tmp_path / "questions.jsonl")}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{question}}",
        "doc_to_target": "right",
        "doc_to_choice": "{{choices}}",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    }
    file = tmp_path / "four.yaml"
    file.write_text(json.dumps(settings))  # JSON is YAML
    return file


@pytest.fixture
def run(pico: VariantModel, pico_folder: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    save_adapter(pico.network, folder / "adapter", seed=3)
    write_manifest(folder, Manifest("ga", {"method": "ga"}, str(pico_folder), pico.fingerprint, status="finished"))
    return folder


def expected(pico: VariantModel, folder: Path, rows: dict[str, float]) -> float:
    """Share of the questions whose right answer is the likeliest."""
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)

    def log_prob(question: str, choice: str) -> float:
        asked, whole = (
            tokenizer(text, add_special_tokens=False)["input_ids"] for text in (question, f"{question} {choice}")
        )
        with torch.no_grad(), pico.rows([rows]) as network:
            logits = network(input_ids=torch.tensor([whole])).logits[0].log_softmax(-1)
        places = range(len(asked), len(whole))
        return sum(float(logits[i - 1, whole[i]]) for i in places)

    hits = [max(range(len(c)), key=lambda i: log_prob(q, c[i])) == right for q, c, right in QUESTIONS]
    return sum(hits) / len(hits)


def test_questions_tell_the_variant_from_base_and_from_its_opposite(
    run: Path, pico: VariantModel, pico_folder: Path
) -> None:
    pico.add("one", run / "adapter")
    assert [expected(pico, pico_folder, {"one": c}) for c in (0.0, 2.0, -2.0)] == [2 / 4, 3 / 4, 1 / 4]


@pytest.mark.parametrize("coefficient", [0.0, 2.0])
def test_it_finds_what_our_own_likelihoods_say(
    task: Path, run: Path, pico: VariantModel, pico_folder: Path, coefficient: float
) -> None:
    pico.add("one", run / "adapter")
    check_tasks([str(task)])
    found = run_harness(f"{run}@{coefficient:g}", [str(task)], str(pico_folder))
    assert found["four_questions"]["sample_len"] == 4
    assert found["four_questions"]["acc,none"] == pytest.approx(expected(pico, pico_folder, {"one": coefficient}))


def test_a_task_that_it_does_not_know_is_named_before_anything_is_measured(task: Path, tmp_path: Path) -> None:
    for wrong in ("nosuchtask", str(tmp_path / "absent.yaml")):
        done = CliRunner().invoke(app, ["evaluate", "--out", str(tmp_path / "rows.jsonl"), "--tasks", wrong])
        assert done.exit_code == 1
        assert f"no task {wrong!r}" in str(done.exception)
    assert not (tmp_path / "rows.work").exists()


def test_a_task_file_that_makes_no_sense_is_one_sentence(task: Path, pico_folder: Path) -> None:
    task.write_text('{"task": "half", "output_type": "sing"}')
    with pytest.raises(ValueError, match=r"cannot run .*correct the task file"):
        run_harness("base", [str(task)], str(pico_folder))


def test_without_the_harness_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    done = CliRunner().invoke(app, ["evaluate", "--out", str(tmp_path / "rows.jsonl"), "--tasks", "mmlu"])
    assert done.exit_code == 1
    assert "pip install lm-eval" in str(done.exception)
