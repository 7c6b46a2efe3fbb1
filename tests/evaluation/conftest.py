"""A sentence embedder and a BLEURT checkpoint with random weights."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers.models.bert.modeling_bert import BertForSequenceClassification, BertModel

from sku.models.sentence_embedder import SentenceEmbedder
from tests.evaluation.berts import save_bert


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> SentenceEmbedder:
    return SentenceEmbedder(save_bert(tmp_path_factory.mktemp("embedder") / "tiny-1234", BertModel))


@pytest.fixture(scope="module")
def bleurt_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_bert(tmp_path_factory.mktemp("bleurt") / "tiny", BertForSequenceClassification, num_labels=1)
