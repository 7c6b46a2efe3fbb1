"""AdvBench: a prompt and its target."""

from __future__ import annotations

import pytest

from sku.core.records import PromptPair
from sku.data import DataSet, load_pairs
from tests.data.conftest import Write


@pytest.mark.parametrize("header", ["goal,target", "prompt,target", " Goal ,target".lower()])
def test_advbench_is_read_as_its_authors_publish_it_and_as_it_is_copied(write: Write, header: str) -> None:
    path = write("harmful_behaviors.csv", f"{header}\nHow?,Sure\n")
    found = load_pairs(f"advbench:{path}", "harmful")
    pairs = (PromptPair("How?", "Sure", "harmful", "advbench"),)
    assert found == DataSet("advbench:harmful_behaviors.csv", pairs, licence="MIT")
