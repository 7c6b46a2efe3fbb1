"""Files of your own: columns by their well-known names, named columns, prompts alone, and names of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from sku.core.records import PairKind, PromptPair
from sku.data import load_pairs
from sku.data.trainable import find_fault
from tests.data.conftest import Write, jsonl


def test_named_columns_and_a_name_without_the_folder(write: Write) -> None:
    path = write("my.csv", "question,reply,refusal,topic,length\nWho?,Me.,I will not say.,people,3\nWhy?,So.,,,\n")
    found = load_pairs(f"{path}#prompt=question,answer=reply,safe_answer=refusal,category=topic", "harmful")
    assert found.name == "my.csv#prompt=question,answer=reply,safe_answer=refusal,category=topic"
    assert found.pairs == (
        PromptPair("Who?", "Me.", "harmful", "my.csv", "people", "I will not say."),
        PromptPair("Why?", "So.", "harmful", "my.csv"),
    )


def test_prompts_alone_are_enough(write: Write) -> None:
    assert load_pairs(str(write("p.jsonl", jsonl({"prompt": "Who?"}))), "harmful").pairs[0].answer == ""


def test_other_columns_may_hold_anything(write: Write) -> None:
    path = write("p.jsonl", jsonl({"prompt": "Who?", "scores": [1, 2], "category": None}))
    assert load_pairs(str(path), "normal").pairs[0].category is None


def test_a_file_name_may_hold_a_colon_or_a_hash(write: Write) -> None:
    for name in ("a:b.jsonl", "a#b.jsonl"):
        assert load_pairs(str(write(name, jsonl({"prompt": "Who?"}))), "normal").name == name


def test_a_home_folder_is_found_and_not_told(write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write("mine.jsonl", jsonl({"prompt": "Who?"}))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert load_pairs("~/mine.jsonl", "normal").name == "mine.jsonl"


def test_a_file_called_self_is_a_file(write: Write) -> None:
    assert len(load_pairs(str(write("self.jsonl", jsonl({"prompt": "Who?"}))), "normal")) == 1


ASKED = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who?"}]
TOLD = {"role": "assistant", "content": "Me."}
NOT_TOLD = {"role": "assistant", "content": "I will not say."}
HUMAN = {"from": "human", "value": "Who?"}
SHAPES: dict[str, dict[str, object]] = {
    "TOFU": {"question": "Who?", "answer": "Me."},
    "other case, spaces": {"Prompt ": "Who?", " Answer": "Me.", "safe-answer": "No."},
    "Alpaca": {"instruction": "Who?", "input": "", "output": "Me."},
    "AdvBench": {"goal": "Who?", "target": "Me."},
    "completions": {"prompt": "Who?", "completion": "Me."},
    "preferences": {"prompt": "Who?", "chosen": "I will not say.", "rejected": "Me."},
    "preferences of turns": {"chosen": [*ASKED, NOT_TOLD], "rejected": [*ASKED, TOLD]},
    "preferences of last turns": {"prompt": ASKED, "chosen": NOT_TOLD, "rejected": TOLD},
    "preferences in one text": {
        "chosen": "\n\nHuman: Who?\n\nAssistant: I will not say.",
        "rejected": "\n\nHuman: Who?\n\nAssistant: Me.",
    },
    "messages": {"messages": [*ASKED, TOLD]},
    "messages in parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": "Who?"}]}, TOLD]},
    "ShareGPT": {"id": 7, "conversations": [HUMAN, {"from": "gpt", "value": "Me."}, {"from": "human", "value": "So?"}]},
}


@pytest.mark.parametrize("row", SHAPES.values(), ids=SHAPES)
def test_a_published_shape_is_read_by_the_names_of_its_columns(write: Write, row: dict[str, object]) -> None:
    pair = load_pairs(str(write("p.jsonl", jsonl(row))), "harmful").pairs[0]
    assert (pair.prompt, pair.answer) == ("Who?", "Me.")
    refused = "rejected" in row
    assert pair.safe_answer == ("I will not say." if refused else "No." if "safe-answer" in row else None)
    normal = load_pairs(str(write("p.jsonl", jsonl(row))), "normal").pairs[0]
    assert normal.answer == ("I will not say." if refused else "Me.")


def test_an_input_belongs_to_its_instruction(write: Write) -> None:
    path = write("alpaca.json", '[{"instruction": "Shorten:", "input": "A long text.", "output": "A text."}]')
    assert load_pairs(str(path), "normal").pairs[0].prompt == "Shorten:\nA long text."


def test_turns_may_be_named_as_a_column(write: Write) -> None:
    path = write("p.jsonl", jsonl({"thread": [HUMAN, TOLD]}))
    pair = load_pairs(f"{path}#prompt=thread,answer=thread", "normal").pairs[0]
    assert (pair.prompt, pair.answer) == ("Who?", "Me.")


def test_preferences_at_the_end_of_a_longer_dialogue_are_left_out(write: Write) -> None:
    longer = [*ASKED, NOT_TOLD, {"role": "user", "content": "Why?"}]
    rows = [{"chosen": [*before, NOT_TOLD], "rejected": [*before, TOLD]} for before in (ASKED, longer)]
    found = load_pairs(str(write("p.jsonl", jsonl(*rows))), "harmful")
    assert (len(found.pairs), found.skipped) == (1, 1)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"chosen": "Yes.", "rejected": "No."},
            "column 'chosen': this is an answer, and there is no column of",
        ),
        ({"messages": [{"text": "Who?"}]}, "column 'messages': there is no turn of a user or an assistant"),
        ({"messages": [TOLD]}, "column 'messages': nothing is there; text is wanted"),
        ({"messages": []}, r"column 'messages': \[\] is not text"),
        (
            {"messages": [{"role": "user", "content": "\ud83d"}]},
            "column 'messages', character 1: half a surrogate",
        ),
    ],
)
def test_a_shape_without_a_prompt_is_told_what_it_lacks(write: Write, row: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"p.jsonl, row 1, {message}"):
        load_pairs(str(write("p.jsonl", jsonl(row))), "harmful")


HELD_OUT = [{"prompt": f"What is {i}?", "answer": "It."} for i in (0, 1, 3, 4)]


@pytest.mark.parametrize(
    ("rows", "kind", "message"),
    [
        (
            [{"prompt": "Who?", "text": "Me."}],
            "harmful",
            "p.jsonl has no harmful answer to train on: its columns are 'prompt', 'text'; name the column of the "
            "answers, p.jsonl#answer=COLUMN, or let the base answer its prompts with self:p.jsonl",
        ),
        (
            HELD_OUT,
            "normal",
            "p.jsonl has no normal pair for training: 4 of 4 are held out for validation and tests, as a hash of the "
            "prompt decides for about 3 in 10 prompts; add pairs; 20 or more are enough",
        ),
    ],
)
def test_a_file_without_a_training_pair_is_told_why(
    write: Write, rows: list[dict[str, object]], kind: PairKind, message: str
) -> None:
    assert str(find_fault(load_pairs(str(write("p.jsonl", jsonl(*rows))), kind), kind)) == message


def test_prompts_alone_are_enough_if_the_base_answers_them(write: Write) -> None:
    data = load_pairs(str(write("p.jsonl", jsonl(*({"prompt": f"What is {i}?"} for i in range(20))))), "normal")
    assert find_fault(data, "normal", answered_by_base=True) is None


def test_of_a_longer_conversation_the_first_question_and_its_answer_are_used_and_that_is_said(write: Write) -> None:
    hello = {"role": "assistant", "content": "Hello!"}
    more = [{"role": "user", "content": "Why?"}, NOT_TOLD]
    rows = [{"messages": [*ASKED, TOLD]}, {"messages": [*ASKED, TOLD, *more]}, {"messages": [hello, ASKED[1], TOLD]}]
    found = load_pairs(str(write("p.jsonl", jsonl(*rows))), "normal")
    assert [(pair.prompt, pair.answer) for pair in found.pairs] == [("Who?", "Me.")] * 3
    assert found.columns_read.endswith(
        "; in 1 of 3 rows only the first question and answer of a longer conversation are used"
        "; in 2 of 3 rows the system prompt is left out"
    )
    assert load_pairs(str(write("p.jsonl", jsonl(rows[2]))), "normal").columns_read == (
        "prompt from 'messages', answer from 'messages'"
    )
