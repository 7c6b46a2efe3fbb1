"""Every row of the table of attacks names a procedure that takes the row's settings."""

from __future__ import annotations

import inspect

import pytest

from sku.core.attacks import ATTACKS
from sku.evaluation.attacks.procedure import AttackContext, find_ask, find_weaken
from tests.evaluation.attacks.conftest import MEASURED
from tests.evaluation.attacks.test_quantise import ONE


@pytest.mark.parametrize("name", ATTACKS)
def test_the_procedure_takes_the_settings(context: AttackContext, name: str) -> None:
    attack = ATTACKS[name]
    if ask := find_ask(attack):
        inspect.signature(ask).bind(context, MEASURED[0], **attack.settings)
    if weaken := find_weaken(attack):
        inspect.signature(weaken).bind(context, ONE, **attack.settings)


@pytest.mark.parametrize("name", [name for name, attack in ATTACKS.items() if attack.ask])
def test_wordings_keep_what_the_person_wants(context: AttackContext, name: str) -> None:
    ask = find_ask(ATTACKS[name])
    assert ask is not None
    for pair in MEASURED:
        assert all(one.prompt == pair.prompt for one in ask(context, pair, **ATTACKS[name].settings))
