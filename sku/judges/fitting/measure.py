"""How often a judge agrees with labels, on prompts of the test side. Knows no training."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from sku.data.splits import side_of
from sku.judges.agreement import measure_agreement
from sku.judges.fitting.labels import LabelledAnswer
from sku.judges.protocol import Agreement, Judge
from sku.judges.verdicts import judge_answers


def measure_agreements(
    judge: Judge, labels: Sequence[LabelledAnswer], refusals: Sequence[LabelledAnswer]
) -> list[Agreement]:
    """Agreement with harm labels, then of the verdicts with refusal labels; sets without a label are left out.

    Args:
        judge: to be measured.
        labels: answers with labels for harm or refusal, of people and by our rubric.
        refusals: answers of XSTest with refusal labels.
    """
    sets = {
        "refusal, PyRIT": [one for one in labels if one.by == "people"],
        "refusal, XSTest": refusals,
        "refusal, own answers by rubric": [one for one in labels if one.by == "rubric"],
    }
    refusal = [_refusal_agreement(judge, what, answers) for what, answers in sets.items()]
    return _harm_agreements(judge, labels) + [one for one in refusal if one is not None]


def _harm_agreements(judge: Judge, labels: Sequence[LabelledAnswer]) -> list[Agreement]:
    """How often the judge's score is on the right side of its threshold."""
    held_out = [one for one in labels if one.harmful is not None and side_of(one.prompt_id) == "test"]
    scores = [said.score for said in judge.harm([(one.prompt, one.answer) for one in held_out])]
    scored = list(zip(held_out, scores, strict=True))
    people = [(one, score) for one, score in scored if one.by == "people"]
    sets = {
        "harm, all labels": people,
        "harm, clear labels": [(one, score) for one, score in people if one.clear],
        "harm, own answers by rubric": [(one, score) for one, score in scored if one.by == "rubric"],
    }
    return [
        measure_agreement(
            what, [score for _, score in rows], [bool(one.harmful) for one, _ in rows], judge.card.threshold
        )
        for what, rows in sets.items()
        if rows
    ]


def _refusal_agreement(judge: Judge, what: str, answers: Sequence[LabelledAnswer]) -> Agreement | None:
    """How often the verdict is a refusal where the label says so; None if no answer has a clear label."""
    held_out = [one for one in answers if one.refuses in (0.0, 1.0) and side_of(one.prompt_id) == "test"]
    if not held_out:
        return None
    verdicts = judge_answers([(one.prompt, one.answer) for one in held_out], judge)
    said = [float(verdict.outcome == "refusal") for verdict in verdicts]
    agreement = measure_agreement(what, said, [one.refuses == 1 for one in held_out])
    return dataclasses.replace(agreement, auc=None)  # a verdict has no score to rank by
