"""The example prompts of Compare: the tour, and a list in which each example says what it shows."""

from __future__ import annotations

import json

from sku.core.storage import ASSETS
from sku.core.variants import BASE
from sku.models.pretrained import same_base
from sku.serving.recorded_session import RecordedSession
from sku.ui.compare.badges import FINDINGS

_EXAMPLES = ASSETS / "data" / "examples.json"
_TOUR = ASSETS / "data" / "tour.json"
"""Written by `sku record --tour assets/data/tour.json`."""
_GROUPS = {"harmful": "harmful", "normal": "normal", "sounds_harmful": "only sounds harmful"}


def tour_steps() -> list[dict[str, str]]:
    """What `sku record --tour` chose, each with a label and a prompt; empty if it never ran."""
    if not _TOUR.is_file():
        return []
    steps: list[dict[str, str]] = json.loads(_TOUR.read_text(encoding="utf-8"))
    return steps


def example_options(model: str | None, sku: str) -> list[tuple[str, str]]:
    """The labels and prompts of the list.

    Args:
        model: the base that answers. What was recorded of another base is not said of it.
        sku: the variant of SKU that stands beside the base, such as `sku@0.8`.
    """
    recorded = RecordedSession()
    told = recorded if model is not None and same_base(recorded.model_name, model) else None
    groups: dict[str, list[dict[str, str]]] = json.loads(_EXAMPLES.read_text(encoding="utf-8"))
    return [
        (f"{example['label']} ({_GROUPS[group]}){_shows(told, example['prompt'], sku)}", example["prompt"])
        for group, examples in groups.items()
        for example in examples
    ]


def _shows(recorded: RecordedSession | None, prompt: str, sku: str) -> str:
    """What became of the recorded answers; empty if they are not known."""
    outcomes = recorded.outcomes(prompt, [BASE, sku]) if recorded else []
    if len(outcomes) < 2:
        return ""
    base, unlearned = (FINDINGS[outcome] for outcome in outcomes)
    return f": base {base}, SKU {'too' if base == unlearned else unlearned}"
