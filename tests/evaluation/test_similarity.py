"""Which metric of similarity a name chooses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sku.evaluation import similarity
from sku.evaluation.similarity import similarity_metric
from sku.models.sentence_embedder import SentenceEmbedder
from tests.evaluation.berts import TEXTS, bleurt_scores


def test_the_class_of_bleurt_pytorch_is_named_with_what_to_use_instead(bleurt_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "BLEURT-20-D3"
    folder.mkdir()
    settings = {"model_type": "bleurt", "architectures": ["BleurtForSequenceClassification"]}
    (folder / "config.json").write_text(json.dumps(settings))
    message = (
        r"BLEURT-20-D3 is a BleurtForSequenceClassification \(model type bleurt\), not a regression model that "
        "transformers can load; use a BertForSequenceClassification with one output, or the metric minilm"
    )
    with pytest.raises(ValueError, match=message) as caught:
        similarity_metric(f"bleurt:{folder}")
    assert "\n" not in str(caught.value)


def test_the_metric_carries_name_and_version(
    bleurt_folder: Path, embedder: SentenceEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, alike = similarity_metric(f"bleurt:{bleurt_folder}")
    assert name.startswith("bleurt-tiny-")
    assert alike(TEXTS, TEXTS) == pytest.approx(bleurt_scores(bleurt_folder, TEXTS, TEXTS), abs=1e-5)
    monkeypatch.setattr(similarity, "provision_embedder", lambda _: Path(embedder.tokenizer.name_or_path))
    name, alike = similarity_metric()
    assert name == "tiny-1234"
    assert alike(["rain"], ["rain"]) == pytest.approx([1.0], abs=1e-5)


@pytest.mark.parametrize("name", ["", "bleurt", "bleurt:", "rouge", "minilm:x"])
def test_an_unknown_metric_is_told_what_is_known(name: str) -> None:
    with pytest.raises(ValueError, match=f"metric {name!r} is not known; choose minilm, or bleurt:FOLDER_OR_HUB_ID"):
        similarity_metric(name)
