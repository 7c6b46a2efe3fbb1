"""Cosine of sentence embeddings: a tiny random BERT saved to disk, and the real embedder's published figures (slow)."""

from __future__ import annotations

import pytest
import torch

from sku.evaluation.similarity import similarity_metric
from sku.models.sentence_embedder import EMBEDDER_MAX_TOKENS, SentenceEmbedder
from tests.evaluation.berts import TEXTS, WORDS


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
