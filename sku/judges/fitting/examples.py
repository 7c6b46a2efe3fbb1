"""The training examples of the judge, their order and their loss. Prompts of the test side are never trained on.

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
from sku.judges.heads import HARMFUL_COLUMN, REFUSAL_COLUMN
from sku.models.batching import EncodedPair

_HARM_WEIGHTS: dict[LabelSource, float] = {"people": 1.0, "rubric": 0.5, "refusal": 0.1}
"""Weight of a harm label in the loss, by its source. Those inferred from refusal labels are easy and many."""
_SEVERITY_OF_EVEN_ODDS = 0.42
"""Where the target probability of harm is 0.5."""
_TARGET_SLOPE = 1.3
"""Of the target probability, per unit of severity."""
_MIN_TARGET, _MAX_TARGET = 0.03, 0.97
_LENGTH_JITTER_TOKENS = 40
"""Random tokens added to a length before sorting, so that batches differ between epochs."""


@dataclass(frozen=True)
class JudgeExample:
    """One answer with its targets; None where there is no label."""

    prompt: str
    answer: str
    harmful: float | None
    """Target probability of harm."""
    refuses: float | None
    """Target probability of refusal."""
    harm_weight: float = 1.0
    """Weight of `harmful` in the loss."""


@dataclass(frozen=True)
class Examples:
    """Training examples in three groups, each with its own number of passes."""

    people: list[JudgeExample]
    """Answers that people rated for harm."""
    rubric: list[JudgeExample]
    """Answers of the default model's own variants, rated by our rubric."""
    refusal: list[JudgeExample]
    """Answers labelled for refusal, which are easier."""

    def groups(
        self, encode: Callable[[str, str], EncodedPair], passes: tuple[int, int, int]
    ) -> list[tuple[list[EncodedExample], int]]:
        """The three groups, encoded, each with its number of passes: what `draw_batches` takes."""
        groups = zip((self.people, self.rubric, self.refusal), passes, strict=True)
        return [([(encode(one.prompt, one.answer), one) for one in group], n) for group, n in groups]


def make_examples(labelled: Sequence[LabelledAnswer], off_topic: int, draw: random.Random) -> Examples:
    """Turn labelled answers into training examples.

    Args:
        labelled: answers with labels; those to prompts of the test side are left out.
        off_topic: how many answers to pair with another prompt and label as refusals: PyRIT's rubric counts an answer
            to a different question as a refusal.
        draw: decides which.

    Raises:
        ValueError: if no labelled answer is left.
    """
    usable = [one for one in labelled if side_of(one.prompt_id) != "test"]
    if not usable:
        raise ValueError("no labelled answer is on the train or validation side; give more labels")
    made = {by: [_example(one) for one in usable if one.by == by] for by in _HARM_WEIGHTS}
    people = [one for one in made["people"] if one.refuses is None]
    refusal = [one for one in made["people"] if one.refuses is not None] + made["refusal"]
    for asked in draw.sample(usable, min(off_topic, len(usable))):
        other = draw.choice([one for one in usable if one.prompt_id != asked.prompt_id])
        refusal.append(JudgeExample(asked.prompt, other.answer, None, 1.0))
    return Examples(people, made["rubric"], refusal)


def _example(one: LabelledAnswer) -> JudgeExample:
    refuses = None if one.by == "rubric" else one.refuses  # `fit_refusal_head` learns these afterwards
    return JudgeExample(one.prompt, one.answer, harm_target(one.severity), refuses, _HARM_WEIGHTS[one.by])


EncodedExample = tuple[EncodedPair, JudgeExample]


def draw_batches(
    groups: Sequence[tuple[Sequence[EncodedExample], int]], batch_size: int, draw: random.Random
) -> list[list[EncodedExample]]:
    """Draw the batches of a whole training, in order; rows of similar length share a batch.

    Args:
        groups: rows with their number of passes. The group with the most passes is seen once per epoch; the passes of
            the others are spread evenly over the epochs.
        batch_size: rows per batch.
        draw: shuffles.
    """
    epochs = max(passes for _, passes in groups)
    spread = [draw.sample(rows, len(rows)) * passes for rows, passes in groups]
    batches: list[list[EncodedExample]] = []
    for epoch in range(epochs):
        rows = [row for group in spread for row in _share(group, epoch, epochs)]
        by_length = sorted(rows, key=lambda row: len(row[0].ids) + draw.uniform(0, _LENGTH_JITTER_TOKENS))
        of_epoch = [by_length[i : i + batch_size] for i in range(0, len(rows), batch_size)]
        draw.shuffle(of_epoch)
        batches += of_epoch
    return batches


def _share(rows: list[EncodedExample], epoch: int, epochs: int) -> list[EncodedExample]:
    """The rows of one epoch, where all epochs get about the same number."""
    return rows[epoch * len(rows) // epochs : (epoch + 1) * len(rows) // epochs]


def judge_loss(logits: Tensor, batch: Sequence[JudgeExample], refusal_weight: float) -> Tensor:
    """Binary cross-entropy of the labels that are known, weighted, summed and divided by the size of the batch.

    Args:
        logits: harmful and refusal, `[B, 2]`.
        batch: B examples.
        refusal_weight: weight of the refusal labels; harm labels have weight 1, times their own.
    """
    total = logits.new_zeros(())
    for column, weight in ((HARMFUL_COLUMN, 1.0), (REFUSAL_COLUMN, refusal_weight)):
        wanted = [one.harmful if column == HARMFUL_COLUMN else one.refuses for one in batch]
        known = [i for i, one in enumerate(wanted) if one is not None]
        if known:
            targets = tensor([wanted[i] for i in known], device=logits.device)
            own_weights = [batch[i].harm_weight if column == HARMFUL_COLUMN else 1.0 for i in known]
            weights = tensor(own_weights, device=logits.device)
            entropy = binary_cross_entropy_with_logits(logits[known, column], targets, weights, reduction="sum")
            total = total + weight * entropy / len(batch)
    return total


def harm_target(severity: float | None) -> float | None:
    """The probability of harm that is learnt for a severity from 0 to 1.

    The slope keeps apart the two neighbours of the limit: 0.25, which is not harmful, and 0.5, which is.
    """
    if severity is None:
        return None
    return min(max(0.5 + _TARGET_SLOPE * (severity - _SEVERITY_OF_EVEN_ODDS), _MIN_TARGET), _MAX_TARGET)
