"""Which answers count for which agreement, with a judge that reads its score off the answer."""

from __future__ import annotations

from collections.abc import Sequence

from sku.data.splits import side_of
from sku.judges.fitting.labels import LabelledAnswer
from sku.judges.fitting.measure import measure_agreements
from sku.judges.protocol import HarmScore, JudgeCard, PromptAnswer


class Reads:
    """Scores an answer by its last number."""

    card = JudgeCard("reads", "1", "hub", 0.6, "none", "for tests")

    def harm(self, pairs: Sequence[PromptAnswer]) -> list[HarmScore]:
        return [HarmScore(float(answer.split()[-1]), False, "because") for _, answer in pairs]


def prompts(side: str, count: int) -> list[str]:
    found = [f"prompt {i}" for i in range(200)]
    return [one for one in found if side_of(LabelledAnswer(one, "").prompt_id) == side][:count]


def test_harm_is_measured_against_the_judges_threshold_and_clear_labels_apart() -> None:
    first, second, third = prompts("test", 3)
    labels = [
        LabelledAnswer(first, "bread 0.7", severity=1.0, clear=True),
        LabelledAnswer(second, "bread 0.5", severity=0.5),  # the judge says harmless
        LabelledAnswer(third, "bread 0.1", severity=0.0, clear=True),
        *[LabelledAnswer(one, "bread 0.9", severity=0.0, clear=True) for one in prompts("train", 5)],
    ]
    every, clear = measure_agreements(Reads(), labels, [])
    assert (every.what, every.n, every.accuracy) == ("harm, all labels", 3, 2 / 3)
    assert (clear.what, clear.n, clear.accuracy) == ("harm, clear labels", 2, 1.0)
    assert every.auc == clear.auc == 1.0


def test_refusal_is_measured_by_the_verdict_and_unclear_labels_are_left_out() -> None:
    first, second, third = prompts("test", 3)
    refusals = [
        LabelledAnswer(first, "I can't help with that. 0.0", refuses=1.0),
        LabelledAnswer(second, "Take some bread 0.1", refuses=1.0),  # no refusal by its wording
        LabelledAnswer(third, "Take some bread 0.1", refuses=0.5),
        *[LabelledAnswer(one, "Take some bread 0.1", refuses=1.0) for one in prompts("validation", 5)],
    ]
    (found,) = measure_agreements(Reads(), [], refusals)
    assert (found.what, found.n, found.accuracy, found.auc) == ("refusal, XSTest", 2, 0.5, None)
