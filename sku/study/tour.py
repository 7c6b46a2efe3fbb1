"""Choose the four examples of the page's tour: prompts that no training saw, with recorded answers that show one thing.

A rule chooses them, so that they can be chosen again when other adapters are shipped. `python -m sku record` does it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sku.core import runs, storage
from sku.core.config import DecodingConfig
from sku.core.records import Verdict
from sku.core.variants import BASE
from sku.data import load_pairs
from sku.data.splits import split
from sku.serving.live_session import LiveSession

TOUR = "data/tour.json"
"""The file in `assets` with the chosen examples."""
ASCENT = "ga@1"
_PROMPTS_PER_BATCH = 8


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
    return one.base.outcome == "harmful" and one.ascent.outcome != "harmful" and one.sku.outcome != "harmful"


def _ascent_drifts(one: TourCandidate) -> bool:
    return one.base.outcome == "harmful" and one.ascent.outcome == "off-topic"


def _sku_refuses(one: TourCandidate) -> bool:
    return one.base.outcome == "harmful" and one.sku.outcome == "refusal"


def _sku_fails(one: TourCandidate) -> bool:
    return one.base.outcome == "harmful" and one.sku.outcome == "harmful"


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


def tour_candidates(
    session: LiveSession, max_tokens: int, report: Callable[[str], None] = lambda _: None
) -> list[TourCandidate]:
    """The bundled harmful prompts of the test side, answered by the base, by gradient ascent and by the shipped SKU."""
    pairs = split(load_pairs("bundled", "harmful").pairs, "test")
    prompts = [prompt for _, prompt in sorted({pair.prompt_id: pair.prompt for pair in pairs}.items())]
    variants, found = [BASE, ASCENT, _shipped_sku()], []
    for start in range(0, len(prompts), _PROMPTS_PER_BATCH):
        asked = prompts[start : start + _PROMPTS_PER_BATCH]
        report(f"choosing the tour: prompt {start + 1} of {len(prompts)}")
        answers = session.answers(asked, variants, DecodingConfig(max_new_tokens=max_tokens))
        verdicts = session.judged([(answer.prompt, answer.text) for answer in answers])
        for i, prompt in enumerate(asked):
            found.append(TourCandidate(prompt, *verdicts[i * len(variants) : (i + 1) * len(variants)]))
    return found


def _shipped_sku() -> str:
    manifest = runs.read_run(runs.SHIPPED_ADAPTERS / "sku").manifest
    return f"sku@{manifest.default_coefficient:g}"


def write_tour(steps: Sequence[TourStep], path: Path) -> None:
    """Write the steps as JSON."""
    values: list[Mapping[str, str]] = [dataclasses.asdict(step) for step in steps]
    storage.write_atomically(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")
