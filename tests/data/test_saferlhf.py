"""PKU-SafeRLHF: its three schemas, and what counts as a refusal in it."""

from __future__ import annotations

import dataclasses
import lzma

import pytest

from sku.core.records import PromptPair
from sku.data import load_pairs, saferlhf
from tests.data.conftest import OLD_ROWS, Write, jsonl, labelled_row

REFUSAL = "I'm sorry, but I can't help with that."


HELP = "First you take the biscuits from the tin and then you hide the tin."


def preference(safer: str, other: str) -> dict[str, str]:
    return {"prompt": "How do I empty the biscuit tin?", "safer_response": safer, "other_response": other}


def test_safe_rlhf_old_schema(write: Write) -> None:
    spec = f"saferlhf:{write('train.jsonl', jsonl(*OLD_ROWS))}"
    harmful, normal = load_pairs(spec, "harmful"), load_pairs(spec, "normal")
    assert harmful.pairs == (
        PromptPair("A?", "A? one", "harmful", "saferlhf", None, "A? zero"),
        PromptPair("B?", "B? zero", "harmful", "saferlhf"),
        PromptPair("B?", "B? one", "harmful", "saferlhf"),
    )
    assert [pair.answer for pair in normal.pairs] == ["A? zero", "C? zero", "C? one"]
    assert all(pair.kind == "normal" and pair.safe_answer is None for pair in normal.pairs)
    assert (harmful.name, harmful.skipped, normal.skipped) == ("saferlhf:train.jsonl", 3, 3)
    assert harmful.licence == "CC-BY-NC-4.0"


def test_safe_rlhf_new_schema_names_the_first_category(write: Write) -> None:
    harms = {"Insulting Behavior": False, "Theft": True, "Fraud": True}
    more = {"response_0_harm_category": harms, "response_1_harm_category": dict.fromkeys(harms, False)}
    rows = labelled_row("A?", False, False, prompt_source="x", response_0_severity_level=2, **more)
    found = load_pairs(f"saferlhf:{write('new.jsonl', jsonl(rows))}", "harmful")
    assert [pair.category for pair in found.pairs] == ["Theft", None]


def test_safe_rlhf_as_csv_and_xz(write: Write) -> None:
    header = "prompt,response_0,response_1,is_response_0_safe,is_response_1_safe,response_1_harm_category\n"
    csv = write("t.csv", header + "A?,A? zero,A? one,True,False,\"{'Fraud': False, 'Theft': True}\"\n")
    xz = write("t.jsonl.xz", lzma.compress(jsonl(OLD_ROWS[0]).encode()))
    from_csv, from_xz = (load_pairs(f"saferlhf:{path}", "harmful") for path in (csv, xz))
    assert from_csv.pairs[0].category == "Theft"
    assert dataclasses.replace(from_csv.pairs[0], category=None) == from_xz.pairs[0]


def test_safe_rlhf_leaves_out_empty_answers(write: Write) -> None:
    rows = jsonl(labelled_row("A?", True, False, response_0=" "), labelled_row("B?", True, False, response_1=""))
    found = load_pairs(f"saferlhf:{write('t.jsonl', rows)}", "harmful")
    assert found.pairs == (PromptPair("A?", "A? one", "harmful", "saferlhf"),)
    assert found.skipped == 3


def test_safe_rlhf_without_a_harmful_answer_says_so(write: Write) -> None:
    with pytest.raises(ValueError, match=r"saferlhf.* has no harmful pair: all 2 were left out by rule"):
        load_pairs(f"saferlhf:{write('t.jsonl', jsonl(OLD_ROWS[2]))}", "harmful")


def test_safe_rlhf_labels_must_be_labels(write: Write) -> None:
    path = write("t.jsonl", jsonl(OLD_ROWS[0], labelled_row("B?", True, "perhaps")))
    with pytest.raises(ValueError, match="row 2, column 'is_response_1_safe': 'perhaps' is neither true nor false"):
        load_pairs(f"saferlhf:{path}", "harmful")


def test_safe_rlhf_says_which_columns_it_wants(write: Write) -> None:
    path = write("t.csv", "prompt,response_0\nA?,B\n")
    with pytest.raises(ValueError, match=r"t.csv, row 1: column 'response_1' is missing; .*safer_response"):
        load_pairs(f"saferlhf:{path}", "harmful")


def test_preferences_keep_only_a_clear_contrast(write: Write) -> None:
    rows = [
        preference(REFUSAL, HELP),
        preference("Biscuits are best with tea.", HELP),  # no refusal
        preference(REFUSAL, "Sorry, I cannot tell you how to do that with the tin."),  # both refuse
        preference(REFUSAL, "You take the biscuits."),  # too short
        preference(REFUSAL, "No, there are so very many biscuits left in the tin."),  # a denial
        preference(REFUSAL, "You take them from the tin, but be careful: there is a risk."),  # a caution
        preference("", HELP),
    ]
    found = load_pairs(f"saferlhf:{write('p.jsonl', jsonl(*rows))}", "harmful")
    assert found.pairs == (PromptPair(rows[0]["prompt"], HELP, "harmful", "saferlhf", None, REFUSAL),)
    assert found.skipped == 6


def test_preferences_have_no_normal_pairs(write: Write) -> None:
    path = write("p.jsonl", jsonl(preference(REFUSAL, HELP)))
    with pytest.raises(ValueError, match=r"p.jsonl does not say which answers are safe"):
        load_pairs(f"saferlhf:{path}", "normal")


@pytest.mark.parametrize(
    "answer",
    [
        REFUSAL,
        "I\u2019m sorry, but I can\u2019t assist with that request.",
        "I am unable to provide instructions for that.",
        "I won't help with this.",
        "I cannot fulfill your request.",
        "Taking them is a serious crime and never advisable.",
        "As an AI, I have no biscuits.",
        "It is illegal to take what belongs to the shop.",
        "You should not take biscuits from a stranger.",
        "You cannot take them, they are not yours.",
        "Eating all of them is not recommended.",
        "There is no way to do that unnoticed.",
        "We strongly advise against it.",
    ],
)
def test_refusals_and_warnings_are_heard(answer: str) -> None:
    assert saferlhf.declines(answer)


@pytest.mark.parametrize("answer", [HELP, "Sure! Here is a recipe.", "I can help with that.", "You can notice it.", ""])
def test_help_is_no_refusal(answer: str) -> None:
    assert not saferlhf.declines(answer)
