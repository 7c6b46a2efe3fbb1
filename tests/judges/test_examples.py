"""Training examples: what is left out, how much each label counts, in which order they come."""

from __future__ import annotations

import random
from collections import Counter

import pytest
import torch

from sku.data.splits import side_of
from sku.judges.fitting.examples import (
    EncodedExample,
    JudgeExample,
    draw_batches,
    harm_target,
    judge_loss,
    make_examples,
)
from sku.judges.fitting.labels import LabelledAnswer
from sku.models.batching import EncodedPair

BAD, GOOD = "the rain ran away in rain", "the cat sat on a mat"


def labels(count: int = 60) -> list[LabelledAnswer]:
    """For each prompt two answers with a severity and one with a refusal label; no two answers are the same."""
    made = []
    for i in range(count):
        asked = f"dog mat {i}"
        made.append(LabelledAnswer(asked, f"{BAD} {i}", severity=1.0))
        made.append(LabelledAnswer(asked, f"{GOOD} {i}", severity=0.0))
        made.append(LabelledAnswer(asked, f"away from {i}", refuses=1.0))
    return made


def row(name: str, length: int) -> EncodedExample:
    return EncodedPair(tuple(range(length)), 1), JudgeExample(name, "", None, None)


def test_examples_leave_test_prompts_out_and_call_answers_to_other_prompts_refusals() -> None:
    made = make_examples(labels(), 10, random.Random(0))
    kept = [one for one in labels() if side_of(one.prompt_id) != "test"]
    assert len(made.people) == sum(one.severity is not None for one in kept)
    assert len(made.refusal) == sum(one.refuses is not None for one in kept) + 10
    few = [one for one in kept if one.prompt_id in {other.prompt_id for other in kept[:9]}]
    prompts = {one.answer: one.prompt for one in few}
    assert len(few) == 9
    for added in make_examples(few, 9, random.Random(0)).refusal[-9:]:
        assert (added.harmful, added.refuses) == (None, 1.0)
        assert added.prompt in prompts.values()
        assert added.prompt != prompts[added.answer], "it answers another prompt"
    with pytest.raises(ValueError, match="no labelled answer"):
        make_examples([], 0, random.Random(0))


def test_who_says_it_decides_how_much_a_harm_label_counts() -> None:
    rated = LabelledAnswer("rain", BAD, severity=1.0, refuses=0.0, by="rubric")
    concluded = LabelledAnswer("rain", GOOD, severity=0.0, refuses=0.0, by="refusal")
    made = make_examples([LabelledAnswer("rain", GOOD, severity=0.0), rated, concluded], 0, random.Random(0))
    assert [one.harm_weight for one in (*made.people, *made.rubric, *made.refusal)] == [1.0, 0.5, 0.1]
    assert made.rubric[0].refuses is None, "these are learnt afterwards"
    logits = torch.zeros(2, 2)
    known = [JudgeExample("a", "b", 1.0, None, harm_weight=0.5), JudgeExample("a", "b", None, 0.0, harm_weight=0.5)]
    assert float(judge_loss(logits, known, 1.0)) == pytest.approx((0.5 * 0.6931 + 0.6931) / 2, abs=1e-4)


def test_the_loss_counts_what_is_known_only() -> None:
    logits = torch.tensor([[0.0, 5.0], [3.0, 0.0]])
    known = [JudgeExample("a", "b", 1.0, None), JudgeExample("a", "b", None, 0.0)]
    assert float(judge_loss(logits, known, 0.5)) == pytest.approx((0.6931 + 0.5 * 0.6931) / 2, abs=1e-4)
    assert float(judge_loss(logits, [JudgeExample("a", "b", None, None)] * 2, 0.5)) == 0.0


def test_harm_is_seen_in_every_pass_and_what_is_easier_spread_over_them() -> None:
    harm, easier = [row(f"h{i}", 5 + i) for i in range(10)], [row(f"e{i}", 9) for i in range(7)]

    def made(seed: int) -> list[list[EncodedExample]]:
        return draw_batches([(harm, 3), (easier, 2), ([], 1)], batch_size=4, draw=random.Random(seed))

    seen = Counter(known.prompt for batch in made(1) for _, known in batch)
    assert seen == {f"h{i}": 3 for i in range(10)} | {f"e{i}": 2 for i in range(7)}
    sizes = [sorted(len(batch) for batch in made(1)[i : i + 4]) for i in (0, 4, 8)]
    assert sizes == [[2, 4, 4, 4], [3, 4, 4, 4], [3, 4, 4, 4]], "14, 15 and 15 rows"
    turns = [[known.prompt for batch in made(1)[i : i + 4] for _, known in batch] for i in (0, 4, 8)]
    assert all(sorted(name for name in turn if name[0] == "h") == sorted(f"h{i}" for i in range(10)) for turn in turns)
    assert [sum(name[0] == "e" for name in turn) for turn in turns] == [4, 5, 5]
    assert made(1) == made(1) != made(2)


def test_a_seed_gives_the_order_that_it_always_gave() -> None:
    """The shipped judge was trained in the order of its seed; another order trains another judge."""
    harm, easier = [row(f"h{i}", 5 + i) for i in range(5)], [row(f"e{i}", 9) for i in range(3)]
    drawn = draw_batches([(harm, 2), (easier, 1)], batch_size=3, draw=random.Random(0))
    names = [" ".join(known.prompt for _, known in batch) for batch in drawn]
    assert names == ["h1 h2 e1", "h0 h3 h4", "e0 h2 e2", "h1 h4 h0", "h3"]


def test_rows_of_similar_length_share_a_batch() -> None:
    short, long = [row(f"s{i}", 10) for i in range(8)], [row(f"l{i}", 200) for i in range(8)]
    for batch in draw_batches([(short + long, 3)], batch_size=4, draw=random.Random(2)):
        assert len({known.prompt[0] for _, known in batch}) == 1


def test_severity_becomes_a_probability_with_the_harm_limit_in_the_middle() -> None:
    """0.5 + 1.3 * (severity - 0.42), within 0.03 and 0.97."""
    found = [harm_target(severity) for severity in (0.0, 0.25, 0.42, 0.5, 1.0)]
    assert found == pytest.approx([0.03, 0.279, 0.5, 0.604, 0.97])
    assert harm_target(None) is None
