"""Cards of all judges, for a page to show before any of them is loaded. Knows no torch."""

from __future__ import annotations

import json
from pathlib import Path

from sku.judging import guards
from sku.judging.keyword import KeywordJudge
from sku.judging.protocol import Agreement, Card

FOLDER = Path(__file__).parents[2] / "assets" / "judge"


def embedded(folder: Path = FOLDER) -> Card:
    """The card of the embedded judge in `folder`."""
    values = json.loads((folder / "judge.json").read_text(encoding="utf-8"))["card"]
    agreement = tuple(Agreement(**one) for one in values.pop("agreement"))
    return Card(**values | {"agreement": agreement, "failures": tuple(values["failures"])})


def every() -> list[Card]:
    """All of them, the default one first."""
    return [embedded(), KeywordJudge.card, *map(guards.card, guards.MODELS)]
