"""Every row of the table of attacks names a procedure that takes the row's settings."""

from __future__ import annotations

import inspect

import pytest

from sku.core.attacks import ATTACKS, OWN_PREFILL, SUITE_ATTACKS
from sku.core.records import AskedPrompt
from sku.evaluation.attacks.procedure import AttackContext, find_ask, find_weaken
from tests.evaluation.attacks.conftest import MEASURED
from tests.evaluation.attacks.test_quantise import ONE


@pytest.mark.parametrize("name", ["none", *SUITE_ATTACKS])
def test_the_procedure_takes_the_settings(context: AttackContext, name: str) -> None:
    attack = ATTACKS[name]
    if ask := find_ask(attack):
        inspect.signature(ask).bind(context, MEASURED[0], **attack.settings)
    if weaken := find_weaken(attack):
        inspect.signature(weaken).bind(context, ONE, **attack.settings)


@pytest.mark.parametrize("name", [name for name in SUITE_ATTACKS if ATTACKS[name].ask])
def test_wordings_keep_what_the_person_wants(context: AttackContext, name: str) -> None:
    ask = find_ask(ATTACKS[name])
    assert ask is not None
    for pair in MEASURED:
        assert all(one.prompt == pair.prompt for one in ask(context, pair, **ATTACKS[name].settings))


def test_an_own_beginning_is_taken_as_it_is(context: AttackContext) -> None:
    ask = find_ask(ATTACKS[OWN_PREFILL])
    assert ask is not None
    prompt = MEASURED[0].prompt
    assert ask(context, MEASURED[0], start=" Sure,\n") == [AskedPrompt(prompt, prompt, " Sure,\n")]
