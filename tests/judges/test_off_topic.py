"""Off-topic answers: the threshold comes from labels, and its agreement stands on the judge's card."""

from __future__ import annotations

import dataclasses

import pytest

from sku.core.records import digest
from sku.data.splits import side_of
from sku.judges.cards import embedded_card
from sku.judges.fitting.fit_off_topic import TopicLabel, fit_threshold, off_topic_agreement, read_topic_labels
from sku.judges.off_topic import OFF_TOPIC_SIMILARITY, is_off_topic

TRAINED = next(name for name in map(digest, map(str, range(99))) if side_of(name) == "train")
HELD_OUT = next(name for name in map(digest, map(str, range(99))) if side_of(name) == "test")


def labels(prompt: str, off_topic: bool, *similarities: float) -> list[TopicLabel]:
    return [TopicLabel(prompt, "base", one, off_topic) for one in similarities]


def test_the_threshold_calls_one_in_ten_answers_off_topic_and_no_more() -> None:
    answering = labels(TRAINED, False, 0.33, *[0.62] * 9)
    assert fit_threshold(answering) == 0.6
    assert fit_threshold([*answering, *labels(TRAINED, False, 0.57)]) == pytest.approx(0.55), "2 of 11 are too many"


def test_held_out_and_off_topic_answers_do_not_move_the_threshold() -> None:
    answering = labels(TRAINED, False, *[0.62] * 9)
    assert fit_threshold([*answering, *labels(HELD_OUT, False, 0.0), *labels(TRAINED, True, 0.0)]) == 0.6
    with pytest.raises(ValueError, match="takes up its prompt"):
        fit_threshold(labels(TRAINED, True, 0.0))


def test_agreement_counts_held_out_answers_only() -> None:
    found = off_topic_agreement(
        [*labels(HELD_OUT, True, 0.1, 0.7), *labels(HELD_OUT, False, 0.4, 0.8), *labels(TRAINED, True, 0.9)], 0.4
    )
    assert (found.n, found.accuracy) == (4, 0.75), "an answer exactly at the threshold is not off-topic"


def test_the_shipped_threshold_and_card_are_what_the_labels_give() -> None:
    known, card = read_topic_labels(), embedded_card()
    assert fit_threshold(known) == card.topic_threshold == OFF_TOPIC_SIMILARITY
    assert dataclasses.astuple(card.agreement[-1]) == pytest.approx(dataclasses.astuple(off_topic_agreement(known)))


@pytest.mark.parametrize(("similarity", "threshold"), [(None, 0.4), (0.1, None), (0.4, 0.4)])
def test_unknown_similarity_is_not_off_topic(similarity: float | None, threshold: float | None) -> None:
    assert not is_off_topic(similarity, threshold)
    assert is_off_topic(0.39, 0.4)
