"""Label columns of published safety sets decide which rows are harmful pairs, and nothing is dropped unsaid."""

from __future__ import annotations

from pathlib import Path

import pytest

from sku.core.records import PairKind
from sku.data import load_pairs
from sku.data.trainable import find_fault
from tests.data.conftest import OLD_ROWS, Write, jsonl

HARM, NO_HARM = "Me.", "I will not say."
LABELS: dict[str, tuple[str, str, object, object]] = {
    "WildGuardMix": ("response", "response_harm_label", "harmful", "unharmful"),
    "BeaverTails": ("response", "is_safe", False, True),
    "is_response_safe": ("response", "is_response_safe", "no", "yes"),
    "Aegis": ("response", "response_label", "unsafe", "safe"),
    "JailbreakBench": ("response", "jailbroken", True, False),
    "numbers in a spreadsheet": ("answer", "answer_is_harmful", "1", "0"),
    "KTO": ("completion", "label", False, True),
}


@pytest.mark.parametrize(("kind", "wanted"), [("harmful", HARM), ("normal", NO_HARM)])
@pytest.mark.parametrize(("answer", "label", "harmful", "safe"), LABELS.values(), ids=LABELS)
def test_an_answer_trains_as_what_its_label_says(
    write: Write, answer: str, label: str, harmful: object, safe: object, kind: PairKind, wanted: str
) -> None:
    rows = [{"prompt": "Who?", answer: HARM, label: harmful}, {"prompt": "Who?", answer: NO_HARM, label: safe}]
    path = write("p.jsonl", jsonl(*rows))
    for spec in (path, f"{path}#answer={answer}", f"{path}#category={label}"):
        found = load_pairs(str(spec), kind)
        assert [pair.answer for pair in found.pairs] == [wanted], "the other answer would train as what it is not"
        assert f"; 1 of 2 rows are left out, because {label!r} does not say that they are {kind}" in found.columns_read


def test_an_answer_without_a_label_is_neither_harmful_nor_safe(write: Write) -> None:
    rows = [{"prompt": "Who?", "response": HARM, "response_harm_label": one} for one in ("harmful", "unharmful", None)]
    path = str(write("p.jsonl", jsonl(*rows)))
    assert [len(load_pairs(path, kind).pairs) for kind in ("harmful", "normal")] == [1, 1]  # type: ignore[arg-type]


def test_a_prompt_without_an_answer_is_what_the_label_of_the_prompt_says(write: Write) -> None:
    rows = [
        {"prompt": "A?", "response": None, "prompt_harm_label": "harmful", "response_harm_label": None},
        {"prompt": "B?", "response": None, "prompt_harm_label": "unharmful", "response_harm_label": None},
        {"prompt": "C?", "response": NO_HARM, "prompt_harm_label": "harmful", "response_harm_label": "unharmful"},
    ]
    path = str(write("wildguard.jsonl", jsonl(*rows)))
    assert [pair.prompt for pair in load_pairs(path, "harmful").pairs] == ["A?"]
    assert [pair.prompt for pair in load_pairs(path, "normal").pairs] == ["B?", "C?"]


def test_a_label_of_another_answer_is_not_taken_for_that_of_the_named_one(write: Write) -> None:
    row = {"prompt": "Who?", "response": NO_HARM, "other": HARM, "is_safe": True}
    found = load_pairs(f"{write('p.jsonl', jsonl(row))}#answer=other", "harmful")
    assert [pair.answer for pair in found.pairs] == [HARM]
    assert "; not read: 'response', 'is_safe'" in found.columns_read


@pytest.mark.parametrize(("label", "value"), [("label", "toxic"), ("response_label", 3), ("toxicity", 1), ("safe", 1)])
def test_a_label_whose_meaning_is_not_clear_is_said_not_to_be_read(write: Write, label: str, value: object) -> None:
    row = {"prompt": "Who?", "response": HARM, label: value}
    for kind in ("harmful", "normal"):
        found = load_pairs(str(write("p.jsonl", jsonl(row))), kind)  # type: ignore[arg-type]
        assert (len(found.pairs), f"; not read: {label!r}" in found.columns_read) == (1, True)


def test_a_label_that_says_neither_is_refused_with_its_row(write: Write) -> None:
    path = write("p.jsonl", jsonl({"prompt": "Who?", "response": HARM, "response_harm_label": "maybe"}))
    with pytest.raises(
        ValueError, match=r"p\.jsonl, row 1, column 'response_harm_label': 'maybe' says neither .* rename"
    ):
        load_pairs(str(path), "harmful")


def test_two_labelled_answers_a_row_are_sent_to_the_source_that_reads_both(write: Write) -> None:
    path: Path = write("pku.jsonl", jsonl(*OLD_ROWS))
    fault = find_fault(load_pairs(str(path), "harmful"), "harmful")
    assert fault is not None
    assert fault.advice == "read it as what it is, saferlhf:pku.jsonl"
    named = load_pairs(f"{path}#answer=response_1", "harmful")
    assert [pair.answer for pair in named.pairs] == ["A? one", "B? one"], "response_1 of C is labelled safe"


def test_a_file_that_holds_only_the_other_kind_is_told_which_label_says_so(write: Write) -> None:
    path = write("p.jsonl", jsonl(*({"prompt": f"{i}?", "response": NO_HARM, "is_safe": True} for i in range(3))))
    with pytest.raises(ValueError, match=r"no harmful pair; 3 of 3 rows are left out, because 'is_safe' does not say"):
        load_pairs(str(path), "harmful")
