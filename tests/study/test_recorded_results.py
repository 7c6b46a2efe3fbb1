"""The recorded study, what is shipped and what the page offers agree; `test_documents.py` has the documents."""

from __future__ import annotations

import json
from pathlib import Path

from sku.core import runs
from sku.core.records import OWN_SIDE
from sku.reporting import result_files
from sku.ui.tradeoff.layout import SIDES


def test_every_recorded_set_of_prompts_can_be_chosen_on_the_page() -> None:
    assert {row.side for row in result_files.recorded_rows()} == {*SIDES} - {OWN_SIDE}


def test_what_is_shipped_is_what_the_rule_chose() -> None:
    choice = json.loads(result_files.RECORDED_STUDY.with_name("choice.json").read_text(encoding="utf-8"))
    shipped = runs.find_run("sku").manifest
    assert shipped.default_coefficient == choice["coefficient"]
    chosen = [row for row in result_files.recorded_rows() if row.run == "sku" and row.side == "validation"]
    assert choice["coefficient"] in {row.coefficient for row in chosen}
    assert {row.method for row in chosen} == {shipped.method}


def test_what_the_page_shows_first_is_in_the_study_at_its_default() -> None:
    measured = {row.variant for row in result_files.read_rows(result_files.RECORDED_STUDY)}
    for name in ("sku", "sku_gated", "keep", "ga", "ga_mismatch", "tv"):
        assert f"{name}@{runs.find_run(name).manifest.default_coefficient:g}" in measured


def test_nothing_recorded_names_a_folder_of_a_machine() -> None:
    recorded = [*result_files.RECORDED_STUDY.parent.glob("*.json*")]
    assert {"study.jsonl", "validation.jsonl", "choice.json"} <= {path.name for path in recorded}
    for path in recorded:
        text = path.read_text(encoding="utf-8")
        assert "/tmp" not in text
        assert "/work" not in text
        assert str(Path.home()) not in text
