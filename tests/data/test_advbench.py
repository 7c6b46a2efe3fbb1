"""AdvBench: a prompt and its target."""

from __future__ import annotations

from sku.core.records import PromptPair
from sku.data import DataSet, load_pairs
from tests.data.conftest import Write


def test_advbench(write: Write) -> None:
    path = write("a.csv", "prompt,target\nHow?,Sure\n")
    found = load_pairs(f"advbench:{path}", "harmful")
    assert found == DataSet("advbench:a.csv", (PromptPair("How?", "Sure", "harmful", "advbench"),), licence="MIT")
