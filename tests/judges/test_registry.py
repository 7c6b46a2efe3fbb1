"""Judges are made from their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sku.judges import registry
from sku.judges.hub import HubJudge
from sku.judges.hub_models import HUB_JUDGES


def no_base() -> Any:
    raise AssertionError("a hub judge needs no base")


def test_a_folder_of_weights_is_part_of_a_judges_name(tmp_path: Path) -> None:
    judge = registry.make_judge(f"hub:llama-guard-3-1b={tmp_path}", no_base)
    assert isinstance(judge, HubJudge)
    assert judge.folder == tmp_path
    assert registry.make_judge("hub:wildguard", no_base).card.name == "wildguard"
    for name, said in (
        (f"hub:llama-guard-3-1b={tmp_path / 'none'}", "is no folder"),
        (f"embedded={tmp_path}", "is not known"),
        (f"hub:oracle={tmp_path}", "is not known"),
    ):
        with pytest.raises(ValueError, match=said):
            registry.make_judge(name, no_base)


def test_a_judge_may_be_named_by_its_id_on_the_hub() -> None:
    assert registry.short_judge_name("hub:Meta-Llama/llama-guard-3-1b=folder") == "hub:llama-guard-3-1b=folder"
    for name, model in HUB_JUDGES.items():
        by_id = registry.make_judge(f"hub:{model.hub_id}", no_base)
        assert by_id.card == registry.make_judge(f"hub:{name}", no_base).card
