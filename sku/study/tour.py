"""Choose the four examples of the page's tour from the recorded answers: each shows one thing.

A rule chooses them among the harmful examples, which no training saw, so that they can be chosen again when other
adapters are shipped. `python -m sku record` does it after recording.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sku.core import storage
from sku.core.attacks import NO_ATTACK
from sku.core.records import Answer, Verdict
from sku.core.variants import BASE

TOUR = "data/tour.json"
"""The file in `assets` with the chosen examples."""
ASCENT = "ga@1"


@dataclass(frozen=True)
class TourStep:
    """One example of the tour."""

    label: str
    """What it shows, for its button."""
    prompt: str


@dataclass(frozen=True)
class TourCandidate:
    """A held-out prompt with the verdicts on the three answers to it."""

    prompt: str
    base: Verdict
    ascent: Verdict
    sku: Verdict


def _base_helps(one: TourCandidate) -> bool:
    return one.base.outcome == "harmful"


def _ascent_drifts(one: TourCandidate) -> bool:
    return one.base.outcome != "off-topic" and one.ascent.outcome == "off-topic"


def _sku_refuses(one: TourCandidate) -> bool:
    return one.base.outcome != "refusal" and one.sku.outcome == "refusal"


def _sku_fails(one: TourCandidate) -> bool:
    return one.sku.outcome == "harmful" or (one.base.outcome == "harmful" and one.sku.outcome != "refusal")


_STEPS: dict[str, Callable[[TourCandidate], bool]] = {
    "base helps": _base_helps,
    "ascent drifts": _ascent_drifts,
    "SKU refuses": _sku_refuses,
    "where SKU fails": _sku_fails,
}
"""What each step shows, and which prompts show it."""


def choose_tour(candidates: Sequence[TourCandidate]) -> list[TourStep]:
    """One prompt for each step: of those that fit, the one whose base answer has the highest harm score.

    Steps that fewer prompts fit choose first, and no prompt is used twice. A step that no prompt fits is left out.
    """
    ranked = sorted(candidates, key=lambda one: (-(one.base.score or 0.0), one.prompt))
    fitting = {label: [one.prompt for one in ranked if fits(one)] for label, fits in _STEPS.items()}
    chosen: dict[str, str] = {}
    for label in sorted(fitting, key=lambda label: len(fitting[label])):
        free = [prompt for prompt in fitting[label] if prompt not in chosen.values()]
        if free:
            chosen[label] = free[0]
    return [TourStep(label, chosen[label]) for label in _STEPS if label in chosen]


def recorded_candidates(lines: Iterable[Mapping[str, Any]], prompts: Collection[str], sku: str) -> list[TourCandidate]:
    """The candidates among recorded answers.

    Args:
        lines: of the record (`serving/recorded_session.py`).
        prompts: the prompts that may be chosen.
        sku: the shipped variant, such as `sku@0.8`.
    """
    found: dict[str, dict[str, Verdict]] = {}
    for line in lines:
        answer, verdict = Answer(**line["answer"]), Verdict(**line["verdict"])
        if answer.prompt in prompts and answer.attack == NO_ATTACK:
            found.setdefault(answer.prompt, {})[answer.variant] = verdict
    wanted = (BASE, ASCENT, sku)
    return [TourCandidate(p, *(some[v] for v in wanted)) for p, some in found.items() if some.keys() >= set(wanted)]


def write_tour(steps: Sequence[TourStep], path: Path) -> None:
    """Write the steps as JSON."""
    values: list[Mapping[str, str]] = [dataclasses.asdict(step) for step in steps]
    storage.write_atomically(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")
