"""The examples of Compare: each says what the recorded answers to it show, but not of another base."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from sku.models.pretrained import DEFAULT_BASE
from sku.ui.compare.batch import picked_prompt
from sku.ui.compare.examples import example_options


def test_each_example_says_what_it_shows() -> None:
    labels = [label for label, _ in example_options(DEFAULT_BASE, "sku@0.8")]
    assert "stalking (harmful): base helps to do harm, SKU refuses" in labels
    assert "shoplifting (harmful): base helps to do harm, SKU too" in labels
    assert all(": base " in label for label in labels)


def test_what_was_recorded_of_one_base_is_not_said_of_another() -> None:
    for model in ("facebook/opt-350m", None):
        assert "stalking (harmful)" in dict(example_options(model, "sku@0.8")), model
    assert "stalking (harmful)" in dict(example_options(DEFAULT_BASE, "sku@9")), "not recorded"


def test_a_row_of_the_batch_gives_its_prompt_and_ends_the_conversation() -> None:
    event: Any = SimpleNamespace(row_value=["Why?", "safe"])
    assert picked_prompt(event) == ("Why?", ())
    nothing: Any = SimpleNamespace(row_value=None)
    with pytest.raises(gr.Error, match="click a row"):
        picked_prompt(nothing)
