"""BLEURT on tiny random BERTs saved to disk, and the checkpoints that it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import BertTokenizerFast
from transformers.models.bert.modeling_bert import BertForSequenceClassification, BertModel

from sku.data import Unavailable
from sku.evaluation.bleurt import Bleurt
from tests.evaluation.berts import TEXTS, WORDS, bleurt_scores, save_bert


def change(folder: Path, **settings: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def test_bleurt_is_the_regression_of_reference_and_answer_in_this_order(bleurt_folder: Path) -> None:
    others = TEXTS[::-1]
    got = Bleurt(str(bleurt_folder)).similarity(TEXTS, others)
    assert got == pytest.approx(bleurt_scores(bleurt_folder, TEXTS, others), abs=1e-5)
    assert got != pytest.approx(bleurt_scores(bleurt_folder, others, TEXTS), abs=1e-3), "the order is not heeded"


def test_more_pairs_than_a_batch_keep_their_places(bleurt_folder: Path) -> None:
    answers = [" ".join(WORDS[: 1 + i % 12]) for i in range(40)]
    references = [" ".join(WORDS[i % 7 :]) for i in range(40)]
    got = Bleurt(str(bleurt_folder)).similarity(answers, references)
    assert got == pytest.approx(bleurt_scores(bleurt_folder, answers, references), abs=1e-5)
    assert Bleurt(str(bleurt_folder)).similarity([], []) == []


def test_bleurt_cuts_what_its_model_cannot_hold(tmp_path: Path) -> None:
    """16 places, 3 of them for [CLS] and [SEP] twice: the longer text is cut first, so 6 and 7 words are left."""
    folder = save_bert(tmp_path / "short", BertForSequenceClassification, num_labels=1, max_position_embeddings=16)
    found = Bleurt(str(folder)).similarity(["cat " * 40, "cat " * 7, "cat " * 6], ["dog " * 40, "dog " * 6, "dog " * 6])
    assert found[0] == pytest.approx(found[1], abs=1e-6)
    assert found[0] != pytest.approx(found[2], abs=1e-6)


def test_a_classifier_is_no_bleurt(tmp_path: Path) -> None:
    two = save_bert(tmp_path / "two", BertForSequenceClassification, num_labels=2)
    with pytest.raises(ValueError, match=r"BertForSequenceClassification with 2 outputs \(model type bert\)"):
        Bleurt(str(two))
    with pytest.raises(ValueError, match=r"is a BertModel \(model type bert\), not a regression model"):
        Bleurt(str(save_bert(tmp_path / "none", BertModel)))


def test_a_head_that_is_missing_is_not_drawn_at_random(tmp_path: Path) -> None:
    folder = save_bert(tmp_path / "headless", BertModel)
    change(folder, architectures=["BertForSequenceClassification"], num_labels=1)
    with pytest.raises(ValueError, match=r"headless lacks classifier\.bias, classifier\.weight; use a whole one"):
        Bleurt(str(folder))


@pytest.mark.parametrize("where", ["{}/nowhere", "{}", "owner/never-fetched"])
def test_a_checkpoint_that_is_not_there_names_the_ways_out(where: str, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"could not be loaded \(.*name a folder .* minilm$") as caught:
        Bleurt(where.format(tmp_path))
    assert "\n" not in str(caught.value)


def test_other_weights_are_another_version(bleurt_folder: Path, tmp_path: Path) -> None:
    network = BertForSequenceClassification.from_pretrained(bleurt_folder)
    network.classifier.weight.data += 1
    network.save_pretrained(tmp_path / "tiny")
    BertTokenizerFast.from_pretrained(bleurt_folder).save_pretrained(tmp_path / "tiny")
    assert Bleurt(str(tmp_path / "tiny")).name != Bleurt(str(bleurt_folder)).name
