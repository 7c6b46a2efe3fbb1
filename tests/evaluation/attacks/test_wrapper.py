"""Wrappers: the whole request stands in every frame, and answers are judged with the request."""

from __future__ import annotations

import base64

import pytest

from sku.core.attacks import ATTACKS
from sku.evaluation.attacks.procedure import AttackContext
from sku.evaluation.attacks.wrapper import WRAPPERS, wrap
from tests.evaluation.attacks.conftest import MEASURED

PROMPT = MEASURED[0].prompt


def test_the_table_and_the_frames_have_the_same_names() -> None:
    assert {a.settings["name"] for a in ATTACKS.values() if a.kind == "wrapper"} == set(WRAPPERS)


@pytest.mark.parametrize("name", sorted(set(WRAPPERS) - {"base64"}))
def test_the_request_stands_in_its_frame(context: AttackContext, name: str) -> None:
    (one,) = wrap(context, MEASURED[0], name)
    assert one.prompt == PROMPT
    assert PROMPT in one.text
    assert one.text != PROMPT
    assert not one.answer_start


def test_base64_hides_the_request_and_gives_it_back(context: AttackContext) -> None:
    (one,) = wrap(context, MEASURED[0], "base64")
    assert PROMPT not in one.text
    assert base64.b64decode(one.text.split()[-1]).decode() == PROMPT


def test_no_two_frames_are_equal(context: AttackContext) -> None:
    assert len({wrap(context, MEASURED[0], name)[0].text for name in WRAPPERS}) == len(WRAPPERS)
