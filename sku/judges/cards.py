"""Cards of all judges, for a page to show before any of them is loaded. Knows no torch."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from sku.core.records import digest
from sku.core.storage import ASSETS
from sku.judges import hub_models
from sku.judges.keyword import KeywordJudge
from sku.judges.protocol import Agreement, JudgeCard

JUDGE_FOLDER = ASSETS / "judge"


def embedded_card(folder: Path = JUDGE_FOLDER) -> JudgeCard:
    """The card of the embedded judge in `folder`."""
    values = _written(folder)["card"]
    agreement = _agreement(values["agreement"])
    weights = digest(*(sha256(file.read_bytes()).hexdigest() for file in sorted(folder.rglob("*.safetensors"))))
    return JudgeCard(**values | {"agreement": agreement, "failures": tuple(values["failures"]), "weights": weights})


def keyword_card(folder: Path = JUDGE_FOLDER) -> JudgeCard:
    """The card of the keyword judge, with its agreement on the answers that the embedded judge was measured on."""
    return dataclasses.replace(KeywordJudge.card, agreement=_agreement(_written(folder).get("keyword", [])))


def all_cards() -> list[JudgeCard]:
    """All of them, the default one first."""
    return [embedded_card(), keyword_card(), *map(hub_models.hub_card, hub_models.HUB_JUDGES)]


def _written(folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((folder / "judge.json").read_text(encoding="utf-8"))
    return values


def _agreement(values: Sequence[dict[str, Any]]) -> tuple[Agreement, ...]:
    return tuple(Agreement(**one) for one in values)
