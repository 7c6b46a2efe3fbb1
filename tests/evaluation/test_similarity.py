"""How like two texts are: tiny random BERTs saved to disk, and the real embedder's published figures (slow)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertTokenizerFast
from transformers.models.bert.modeling_bert import BertForSequenceClassification, BertModel

from sku.data import Unavailable
from sku.evaluation import similarity
from sku.evaluation.bleurt import Bleurt
from sku.evaluation.sentence_embedder import EMBEDDER_MAX_TOKENS, SentenceEmbedder
from sku.evaluation.similarity import similarity_metric

WORDS = ["the", "cat", "sat", "on", "a", "mat", "and", "dog", "ran", "away", "in", "rain"]
TEXTS = ["the cat sat on a mat", "a dog ran away in the rain", "rain", "", "the cat and the dog and the mat " * 4]


def save(folder: Path, network: type[Any], **settings: Any) -> Path:
    """A random BERT of 12 words."""
    folder.mkdir(parents=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = BertConfig(vocab_size=len(vocabulary), initializer_range=0.5, **sizes | settings)
    network(config).save_pretrained(folder)
    return folder


def change(folder: Path, **settings: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> SentenceEmbedder:
    return SentenceEmbedder(save(tmp_path_factory.mktemp("embedder") / "tiny-1234", BertModel))


@pytest.fixture(scope="module")
def bleurt_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("bleurt") / "tiny", BertForSequenceClassification, num_labels=1)


# The embedder


def test_an_embedding_is_the_mean_of_the_real_tokens_at_length_one(embedder: SentenceEmbedder) -> None:
    for text, got in zip(TEXTS, embedder.embed(TEXTS), strict=True):
        ids = embedder.tokenizer(text, return_tensors="pt")  # alone, so without any padding
        with torch.no_grad():
            mean = embedder.network(**ids).last_hidden_state[0].mean(0)
        assert torch.allclose(got, mean / mean.norm(), atol=1e-5), f"{text!r} is not the mean of its own tokens"


def test_a_text_is_wholly_like_itself_and_less_like_others(embedder: SentenceEmbedder) -> None:
    assert embedder.similarity(TEXTS, TEXTS) == pytest.approx([1.0] * len(TEXTS), abs=1e-5)
    crossed = embedder.similarity(TEXTS, TEXTS[1:] + TEXTS[:1])
    assert all(-1 <= cosine < 0.999 for cosine in crossed)


def test_likeness_goes_both_ways_and_heeds_no_neighbours(embedder: SentenceEmbedder) -> None:
    others = TEXTS[::-1]
    forth = embedder.similarity(TEXTS, others)
    assert forth == pytest.approx(embedder.similarity(others, TEXTS), abs=1e-6)
    alone = [embedder.similarity([a], [b])[0] for a, b in zip(TEXTS, others, strict=True)]
    assert forth == pytest.approx(alone, abs=1e-5)


def test_more_texts_than_a_batch_keep_their_places(embedder: SentenceEmbedder) -> None:
    texts = [" ".join(WORDS[: 1 + i % 12]) + " cat" * (i // 12) for i in range(90)]
    some = list(range(89, -1, -7))
    assert torch.allclose(embedder.embed(texts)[some], embedder.embed([texts[i] for i in some]), atol=1e-5)


def test_nothing_beyond_256_tokens_is_read(embedder: SentenceEmbedder) -> None:
    start = "cat " * (EMBEDDER_MAX_TOKENS - 2)  # and the two that stand around it
    assert embedder.similarity([start], [start + "dog " * 50]) == pytest.approx([1.0], abs=1e-6)
    assert embedder.similarity([start], ["dog " + start])[0] < 1 - 1e-6


def test_pairs_are_wanted(embedder: SentenceEmbedder) -> None:
    with pytest.raises(ValueError, match="2 texts cannot be compared with 1; give pairs"):
        embedder.similarity(["a", "b"], ["a"])
    assert embedder.similarity([], []) == []


@pytest.mark.slow
def test_the_real_embedder_gives_its_published_figures() -> None:
    """Those of the sentence-transformers documentation, to four places."""
    name, alike = similarity_metric("minilm")
    lovely, sunny, stadium = "The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."
    assert alike([lovely, lovely, sunny], [sunny, stadium, stadium]) == pytest.approx(
        [0.6660, 0.1046, 0.1411], abs=5e-5
    )
    assert name == "all-minilm-l6-v2-53aa5117"


# BLEURT


def scores(folder: Path, answers: Sequence[str], references: Sequence[str]) -> list[float]:
    """By the model's own classes, one pair at a time."""
    network = BertForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = BertTokenizerFast.from_pretrained(folder)
    pairs = zip(references, answers, strict=True)
    with torch.no_grad():
        return [float(network(**tokenizer([r], [a], return_tensors="pt")).logits) for r, a in pairs]


def test_bleurt_is_the_regression_of_reference_and_answer_in_this_order(bleurt_folder: Path) -> None:
    others = TEXTS[::-1]
    got = Bleurt(str(bleurt_folder)).similarity(TEXTS, others)
    assert got == pytest.approx(scores(bleurt_folder, TEXTS, others), abs=1e-5)
    assert got != pytest.approx(scores(bleurt_folder, others, TEXTS), abs=1e-3), "the order is not heeded"


def test_more_pairs_than_a_batch_keep_their_places(bleurt_folder: Path) -> None:
    answers = [" ".join(WORDS[: 1 + i % 12]) for i in range(40)]
    references = [" ".join(WORDS[i % 7 :]) for i in range(40)]
    got = Bleurt(str(bleurt_folder)).similarity(answers, references)
    assert got == pytest.approx(scores(bleurt_folder, answers, references), abs=1e-5)
    assert Bleurt(str(bleurt_folder)).similarity([], []) == []


def test_bleurt_cuts_what_its_model_cannot_hold(tmp_path: Path) -> None:
    """16 places, 3 of them for [CLS] and [SEP] twice: the longer text is cut first, so 6 and 7 words are left."""
    folder = save(tmp_path / "short", BertForSequenceClassification, num_labels=1, max_position_embeddings=16)
    found = Bleurt(str(folder)).similarity(["cat " * 40, "cat " * 7, "cat " * 6], ["dog " * 40, "dog " * 6, "dog " * 6])
    assert found[0] == pytest.approx(found[1], abs=1e-6)
    assert found[0] != pytest.approx(found[2], abs=1e-6)


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


def test_a_classifier_is_no_bleurt(tmp_path: Path) -> None:
    two = save(tmp_path / "two", BertForSequenceClassification, num_labels=2)
    with pytest.raises(ValueError, match=r"BertForSequenceClassification with 2 outputs \(model type bert\)"):
        Bleurt(str(two))
    with pytest.raises(ValueError, match=r"is a BertModel \(model type bert\), not a regression model"):
        Bleurt(str(save(tmp_path / "none", BertModel)))


def test_a_head_that_is_missing_is_not_drawn_at_random(tmp_path: Path) -> None:
    folder = save(tmp_path / "headless", BertModel)
    change(folder, architectures=["BertForSequenceClassification"], num_labels=1)
    with pytest.raises(ValueError, match=r"headless lacks classifier\.bias, classifier\.weight; use a whole one"):
        Bleurt(str(folder))


@pytest.mark.parametrize("where", ["{}/nowhere", "{}", "owner/never-fetched"])
def test_a_checkpoint_that_is_not_there_names_the_ways_out(where: str, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"could not be loaded \(.*name a folder .* minilm$") as caught:
        Bleurt(where.format(tmp_path))
    assert "\n" not in str(caught.value)


# Choosing


def test_the_metric_carries_name_and_version(
    bleurt_folder: Path, embedder: SentenceEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, alike = similarity_metric(f"bleurt:{bleurt_folder}")
    assert name.startswith("bleurt-tiny-")
    assert alike(TEXTS, TEXTS) == pytest.approx(scores(bleurt_folder, TEXTS, TEXTS), abs=1e-5)
    monkeypatch.setattr(similarity, "provision_embedder", lambda _: Path(embedder.tokenizer.name_or_path))
    name, alike = similarity_metric()
    assert name == "tiny-1234"
    assert alike(["rain"], ["rain"]) == pytest.approx([1.0], abs=1e-5)


def test_other_weights_are_another_version(bleurt_folder: Path, tmp_path: Path) -> None:
    network = BertForSequenceClassification.from_pretrained(bleurt_folder)
    network.classifier.weight.data += 1
    network.save_pretrained(tmp_path / "tiny")
    BertTokenizerFast.from_pretrained(bleurt_folder).save_pretrained(tmp_path / "tiny")
    assert Bleurt(str(tmp_path / "tiny")).name != Bleurt(str(bleurt_folder)).name


@pytest.mark.parametrize("name", ["", "bleurt", "bleurt:", "rouge", "minilm:x"])
def test_an_unknown_metric_is_told_what_is_known(name: str) -> None:
    with pytest.raises(ValueError, match=f"metric {name!r} is not known; choose minilm, or bleurt:FOLDER_OR_HUB_ID"):
        similarity_metric(name)
