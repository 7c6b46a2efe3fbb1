"""The coefficient at which a tuned training is measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sku.core.config import DecodingConfig
from sku.evaluation.plan import PromptSources
from sku.serving.live_session import LiveSession
from sku.study.kl_budget import largest_coefficients

COEFFICIENTS = (0.5, 1.0, 2.0)


def test_the_largest_coefficient_that_keeps_the_budget_and_nothing_is_scored_twice(
    pico_folder: Path, adapters: dict[str, Path], tmp_path: Path
) -> None:
    session, folder = LiveSession(str(pico_folder)), adapters["one"]
    sources = PromptSources(harmful=("bundled",), limit=3, own_tokens=6)
    told: list[dict[str, Any]] = []

    def chosen(budget: float) -> float:
        found = largest_coefficients(session, {folder: COEFFICIENTS}, budget, sources, tmp_path, told.append)
        return found[folder]

    variants = ["base", *(f"{folder}@{c:g}" for c in COEFFICIENTS)]
    decoding = DecodingConfig(max_new_tokens=2)
    rows = session.evaluate(variants, sources, "validation", decoding, "keyword", tmp_path, "none")
    kls = [row.kl or 0.0 for row in rows[1:]]
    assert 0 < kls[0] < kls[1] < kls[2]
    for place, kl in enumerate(kls):
        assert chosen(kl * 1.0001) == COEFFICIENTS[place], "KL as in the row"
    assert chosen(kls[0] / 2) == COEFFICIENTS[0], "none keeps the budget: the smallest"
    assert not any(line.get("todo") for line in told), "the evaluation had scored the same answers"


def test_nothing_to_choose_loads_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LiveSession, "load", lambda _: pytest.fail("loaded"))
    assert largest_coefficients(LiveSession("nowhere"), {}, 0.04, PromptSources(), tmp_path) == {}
