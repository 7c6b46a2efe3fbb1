"""What judges are trained on and in which order: labelled answers as targets, never those to prompts of the test side.
Knows no model.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from sku.data.splits import side_of
from sku.judges.fitting.labels import LabelledAnswer, LabelSource
from sku.models.batching import EncodedPair

HARMFUL, REFUSES = 0, 1
"""Columns of every judge's logits."""
_COUNTS: dict[LabelSource, float] = {"people": 1.0, "rubric": 0.5, "refusal": 0.1}
"""How much a harm label counts in the loss, by who says it. Those concluded from a refusal label are easy and many."""


@dataclass(frozen=True)
class Example:
    """One answer with what is to be said of it; None where nobody knows."""

    prompt: str
    answer: str
    harmful: float | None
    """A probability."""
    refuses: float | None
    counts: float = 1.0
    """Weight of `harmful` in the loss."""


@dataclass(frozen=True)
class Examples:
    """What is learnt, by how often it is worth being seen."""

    people: list[Example]
    """Of answers whose harm people were asked about."""
    rubric: list[Example]
    """Of answers of the default model's own variants, rated by our rubric."""
    refusal: list[Example]
    """Of answers labelled for refusal, which are easier."""

    def groups(
        self, encode: Callable[[str, str], EncodedPair], passes: tuple[int, int, int]
    ) -> list[tuple[list[EncodedExample], int]]:
        """The three kinds, encoded, with how often each is seen, as `batches` takes them."""
        kinds = (self.people, self.rubric, self.refusal)
        return [([(encode(e.prompt, e.answer), e) for e in some], n) for some, n in zip(kinds, passes, strict=True)]


def make_examples(labelled: Sequence[LabelledAnswer], off_topic: int, draw: random.Random) -> Examples:
    """Labelled answers as examples.

    Args:
        labelled: those to prompts of the test side are left out.
        off_topic: so many answers put to another prompt are added: people call an answer to something else a refusal
            (PyRIT's rubric).
        draw: decides which.

    Raises:
        ValueError: if no labelled answer is left.
    """
    usable = [one for one in labelled if side_of(one.prompt_id) != "test"]
    if not usable:
        raise ValueError("no labelled answer is on the train or validation side; give more labels")
    made = {by: [_example(one) for one in usable if one.by == by] for by in _COUNTS}
    people = [one for one in made["people"] if one.refuses is None]
    refusal = [one for one in made["people"] if one.refuses is not None] + made["refusal"]
    some = draw.sample(usable, min(off_topic, len(usable)))
    others = (draw.choice([one for one in usable if one.prompt_id != mine.prompt_id]) for mine in some)
    refusal += [Example(mine.prompt, other.answer, None, 1.0) for mine, other in zip(some, others, strict=True)]
    return Examples(people, made["rubric"], refusal)


def _example(one: LabelledAnswer) -> Example:
    refuses = None if one.by == "rubric" else one.refuses  # these are learnt afterwards (`refusal_fitting`)
    return Example(one.prompt, one.answer, harm_target(one.severity), refuses, _COUNTS[one.by])


EncodedExample = tuple[EncodedPair, Example]


def draw_batches(
    groups: Sequence[tuple[Sequence[EncodedExample], int]], batch_size: int, draw: random.Random
) -> list[list[EncodedExample]]:
    """Rows of like length together, in the order of training.

    Args:
        groups: rows, and how often each of them is seen; the most frequent ones once a turn, the others spread evenly.
        batch_size: rows.
        draw: shuffles.
    """
    turns = max(passes for _, passes in groups)
    spread = [draw.sample(rows, len(rows)) * passes for rows, passes in groups]
    found: list[list[EncodedExample]] = []
    for turn in range(turns):
        rows = [row for some in spread for row in some[turn * len(some) // turns : (turn + 1) * len(some) // turns]]
        jittered = sorted(rows, key=lambda row: len(row[0].ids) + draw.uniform(0, 40))
        some = [jittered[i : i + batch_size] for i in range(0, len(rows), batch_size)]
        draw.shuffle(some)
        found += some
    return found


def judge_loss(logits: Tensor, batch: Sequence[Example], refusal_weight: float) -> Tensor:
    """Cross-entropy of what is known, each as much as it counts, a mean over the batch.

    Args:
        logits: harmful, refuses; `[B, 2]`.
        batch: B examples.
        refusal_weight: of the second column beside the first.
    """
    total = logits.new_zeros(())
    for column, weight in ((HARMFUL, 1.0), (REFUSES, refusal_weight)):
        wanted = [one.harmful if column == HARMFUL else one.refuses for one in batch]
        known = [i for i, one in enumerate(wanted) if one is not None]
        if known:
            targets = tensor([wanted[i] for i in known], device=logits.device)
            counts = tensor([batch[i].counts if column == HARMFUL else 1.0 for i in known], device=logits.device)
            entropy = binary_cross_entropy_with_logits(logits[known, column], targets, counts, reduction="sum")
            total = total + weight * entropy / len(batch)
    return total


def harm_target(severity: float | None) -> float | None:
    """The probability that is learnt of a severity: even odds between 0.25, not yet harmful, and 0.5."""
    return None if severity is None else min(max(0.5 + 1.3 * (severity - 0.42), 0.03), 0.97)
