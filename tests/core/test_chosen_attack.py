"""The attack that a person chooses for a question, and the one attack that no suite has."""

from __future__ import annotations

import pytest

from sku.core.attacks import (
    ATTACKS,
    DEFAULT_SUITE,
    FULL_SUITE,
    MAX_START_CHARACTERS,
    OWN_PREFILL,
    QUESTION_ATTACKS,
    SUITE_ATTACKS,
    ChosenAttack,
    attacks_of,
)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("nonsense", "", "attack 'nonsense' is not offered for questions; choose from none, prefill-own"),
        ("prefill-10", "", "is not offered for questions"),
        ("x" * 10**6, "", "x' is not offered"),
        (OWN_PREFILL, " \n", "the beginning of the answer is empty"),
        (OWN_PREFILL, "x" * (MAX_START_CHARACTERS + 1), "has 501 characters; at most 500 are allowed"),
        ("int4", "Sure", "attack int4 takes no beginning of the answer"),
        ("none", "Sure", "attack none takes no beginning of the answer"),
    ],
)
def test_what_cannot_be_asked_is_named(name: str, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as error:
        ChosenAttack(name, text)
    assert len(str(error.value)) < 500


def test_every_offered_attack_can_be_chosen() -> None:
    for name in QUESTION_ATTACKS:
        chosen = ChosenAttack(name, "Sure, " if name == OWN_PREFILL else "")
        assert chosen.attack is ATTACKS[name]
        assert name in (*SUITE_ATTACKS, OWN_PREFILL, "none")
        assert chosen.attack.answers
    assert ChosenAttack(OWN_PREFILL, "Sure, ").settings == {"start": "Sure, "}
    assert ChosenAttack("wrapper-novel").settings == {"name": "novel"}


def test_no_suite_has_the_attack_whose_text_a_person_gives() -> None:
    assert OWN_PREFILL not in {
        *SUITE_ATTACKS,
        *DEFAULT_SUITE,
        *FULL_SUITE,
        *attacks_of(["prefill"]),
        *attacks_of(["full"]),
    }
    with pytest.raises(ValueError, match="prefill-own needs a text"):
        attacks_of([OWN_PREFILL])
