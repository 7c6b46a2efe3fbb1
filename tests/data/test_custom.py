"""Files of your own: columns by their well-known names, named columns, prompts alone, and names of files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sku.core.conversation import Conversation, Turn
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
    "input and output": {"input": "Who?", "output": "Me."},
    "inputs and targets": {"inputs": "Who?", "targets": "Me."},
    "user and assistant": {"user": "Who?", "assistant": "Me."},
    "problem and solution": {"Problem": "Who?", "Solution": "Me."},
    "preferences called responses": {
        "question": "Who?",
        "chosen_response": "I will not say.",
        "rejected_response": "Me.",
    },
    "OpenAI's preferences": {
        "input": {"messages": ASKED},
        "preferred_output": [NOT_TOLD],
        "non_preferred_output": [TOLD],
    },
    "Gemini": {
        "contents": [{"role": "user", "parts": [{"text": "Who?"}]}, {"role": "model", "parts": [{"text": "Me."}]}]
    },
    "OpenAssistant": {"conversation": [{"role": "prompter", "text": "Who?"}, {"role": "assistant", "text": "Me."}]},
    "turns as JSON in a text": {"messages": json.dumps([*ASKED, TOLD])},
    "turns beside the name of a user": {"user": "me", "input": "a web page", "messages": [*ASKED, TOLD]},
    "preferences beside a generation": {
        "prompt": "Who?",
        "generation": "?",
        "chosen": "I will not say.",
        "rejected": "Me.",
    },
    "BeaverTails": {"prompt": "Who?", "response": "Me.", "category": {"gossip": True, "theft": False}},
    "ShareGPT": {"id": 7, "conversations": [HUMAN, {"from": "gpt", "value": "Me."}, {"from": "human", "value": "So?"}]},
}


@pytest.mark.parametrize("row", SHAPES.values(), ids=SHAPES)
def test_a_published_shape_is_read_by_the_names_of_its_columns(write: Write, row: dict[str, object]) -> None:
    pair = load_pairs(str(write("p.jsonl", jsonl(row))), "harmful").pairs[0]
    assert (pair.prompt, pair.answer) == ("Who?", "Me.")
    refused = any(name.startswith(("rejected", "non_preferred")) for name in row)
    assert pair.safe_answer == ("I will not say." if refused else "No." if "safe-answer" in row else None)
    normal = load_pairs(str(write("p.jsonl", jsonl(row))), "normal").pairs[0]
    assert normal.answer == ("I will not say." if refused else "Me.")


@pytest.mark.parametrize(("kind", "answer"), [("harmful", "Me."), ("normal", "I will not say.")])
def test_a_label_of_kto_says_which_answer_is_wanted(write: Write, kind: PairKind, answer: str) -> None:
    rows = [
        {"prompt": "Who?", "completion": "Me.", "label": False},
        {"prompt": "Who?", "completion": "I will not say.", "label": True},
    ]
    found = load_pairs(str(write("kto.jsonl", jsonl(*rows))), kind)
    assert ([pair.answer for pair in found.pairs], found.skipped) == ([answer], 1)


@pytest.mark.parametrize("label", [1, "toxic", None])
def test_another_label_is_not_taken_for_that_of_kto(write: Write, label: object) -> None:
    path = write("p.jsonl", jsonl({"prompt": "Who?", "completion": "Me.", "label": label}))
    with pytest.raises(ValueError, match=r"column 'label': true or false is wanted, .* rename the column"):
        load_pairs(str(path), "harmful")


@pytest.mark.parametrize("safe", ["no", "FALSCH", "Faux", "0"])
def test_a_spreadsheet_says_no_in_its_own_language(write: Write, safe: str) -> None:
    found = load_pairs(str(write("p.csv", f"prompt,response,is_safe\nWho?,Me.,{safe}\n")), "harmful")
    assert len(found.pairs) == 1


def test_a_system_prompt_in_a_column_comes_before_the_prompt(write: Write) -> None:
    rows = [
        {"system_prompt": "Be brief.", "question": "Who?", "response": "Me."},
        {"system_prompt": "", "question": "Why?", "response": "So."},
    ]
    found = load_pairs(str(write("orca.jsonl", jsonl(*rows))), "normal")
    assert [pair.before for pair in found.pairs] == [Conversation("Be brief."), Conversation()]
    assert "system from 'system_prompt'" in found.columns_read


def test_a_question_is_asked_with_its_context(write: Write) -> None:
    row = {"context": "A man came. He is Bob.", "question": "Who came?", "answer": "Bob."}
    assert (
        load_pairs(str(write("p.jsonl", jsonl(row))), "normal").pairs[0].prompt == "Who came?\nA man came. He is Bob."
    )


def test_the_call_of_a_tool_leaves_nothing_in_the_answer(write: Write) -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"type": "function", "function": {"name": "now"}}]}
    turns = [ASKED[1], call, {"role": "tool", "content": "5"}, TOLD]
    assert load_pairs(str(write("p.jsonl", jsonl({"messages": turns}))), "normal").pairs[0].answer == "Me."


def test_an_input_belongs_to_its_instruction(write: Write) -> None:
    path = write("alpaca.json", '[{"instruction": "Shorten:", "input": "A long text.", "output": "A text."}]')
    assert load_pairs(str(path), "normal").pairs[0].prompt == "Shorten:\nA long text."


def test_the_context_of_an_instruction_belongs_to_it_too(write: Write) -> None:
    row = {"instruction": "Shorten:", "context": "A long text.", "response": "A text.", "category": "summary"}
    assert load_pairs(str(write("dolly.jsonl", jsonl(row))), "normal").pairs[0].prompt == "Shorten:\nA long text."


@pytest.mark.parametrize(("kind", "answer"), [("harmful", "Me."), ("normal", "I will not say.")])
def test_a_column_that_says_what_is_safe_decides_the_kind_of_a_row(write: Write, kind: PairKind, answer: str) -> None:
    rows = [
        {"prompt": "Who?", "response": "Me.", "category": {"gossip": True, "theft": True}, "is_safe": False},
        {"prompt": "Who?", "response": "I will not say.", "category": {"gossip": False}, "is_safe": True},
    ]
    found = load_pairs(str(write("beavertails.jsonl", jsonl(*rows))), kind)
    assert [(pair.answer, pair.category) for pair in found.pairs] == [(answer, "gossip" if kind == "harmful" else None)]
    assert found.skipped == 1


def test_rows_without_an_answer_are_counted(write: Write) -> None:
    rows = [{"prompt": f"What is {i}?", "answer": "It." if i == 2 else " "} for i in range(3)]
    assert "; 2 of 3 rows have no answer" in load_pairs(str(write("p.jsonl", jsonl(*rows))), "normal").columns_read


def test_turns_may_be_named_as_a_column(write: Write) -> None:
    path = write("p.jsonl", jsonl({"thread": [HUMAN, TOLD]}))
    pair = load_pairs(f"{path}#prompt=thread,answer=thread", "normal").pairs[0]
    assert (pair.prompt, pair.answer) == ("Who?", "Me.")


LONGER = [*ASKED, NOT_TOLD, {"role": "user", "content": "Why?"}]
BECAUSE = {"role": "assistant", "content": "Because."}
EARLIER = Conversation("Be brief.", (Turn("Who?", "I will not say."),))
LONGER_SHAPES: dict[str, dict[str, object]] = {
    "messages": {"messages": [*LONGER, BECAUSE]},
    "messages with a question at the end": {"messages": [*LONGER, BECAUSE, {"role": "user", "content": "So?"}]},
    "prompt and completion": {"prompt": LONGER, "completion": [BECAUSE]},
    "prompt and plain answer": {"prompt": LONGER, "answer": "Because."},
    "prompt of several turns with its own answer elsewhere": {"prompt": "Who?", "chosen": [*LONGER, NOT_TOLD],
                                                              "rejected": [*LONGER, BECAUSE]},
    "preferences": {"chosen": [*LONGER, NOT_TOLD], "rejected": [*LONGER, BECAUSE]},
}  # fmt: skip


@pytest.mark.parametrize("row", LONGER_SHAPES.values(), ids=LONGER_SHAPES)
def test_of_a_conversation_the_last_answer_is_the_answer_and_all_before_is_its_prompt(
    write: Write, row: dict[str, object]
) -> None:
    (pair,) = load_pairs(str(write("p.jsonl", jsonl(row))), "harmful").pairs
    assert (pair.before, pair.prompt, pair.answer) == (EARLIER, "Why?", "Because.")
    assert pair.safe_answer == ("I will not say." if "rejected" in row else None)
    assert pair.judged_prompt == "Who?\nWhy?"


def test_a_conversation_without_an_answer_is_a_prompt(write: Write) -> None:
    (pair,) = load_pairs(str(write("p.jsonl", jsonl({"messages": ASKED}))), "harmful").pairs
    assert (pair.before, pair.prompt, pair.answer) == (Conversation("Be brief."), "Who?", "")


def test_a_safe_answer_to_another_conversation_is_none(write: Write) -> None:
    row = {"chosen": [*ASKED, NOT_TOLD], "rejected": [*LONGER, BECAUSE]}
    (pair,) = load_pairs(str(write("p.jsonl", jsonl(row))), "harmful").pairs
    assert (pair.prompt, pair.answer, pair.safe_answer) == ("Why?", "Because.", None)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"chosen": "Yes.", "rejected": "No."},
            "column 'chosen': this is an answer, and there is no column of",
        ),
        ({"messages": [{"text": "Who?"}]}, "column 'messages': there is no turn of a user or an assistant"),
        ({"messages": [TOLD]}, "column 'messages': nothing is there; text is wanted"),
        (
            {"messages": "[{'role': 'user'}]"},
            "column 'messages': this is no list of turns; turns with role and content",
        ),
        ({"messages": [{"role": "user", "content": " "}]}, "column 'messages': nothing is there; text is wanted"),
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


def test_what_is_read_of_conversations_is_said(write: Write) -> None:
    hello = {"role": "assistant", "content": "Hello!"}
    rows = [{"messages": [*ASKED, TOLD]}, {"messages": [*LONGER, BECAUSE]}, {"messages": [hello, ASKED[1], TOLD]}]
    found = load_pairs(str(write("p.jsonl", jsonl(*rows))), "normal")
    assert found.columns_read.endswith(
        "; 1 of 3 rows are longer conversations, of which the last answer is learned"
        "; 2 of 3 rows have a system prompt, which is read before the prompt"
    )
    assert load_pairs(str(write("p.jsonl", jsonl(rows[2]))), "normal").columns_read == (
        "prompt from 'messages', answer from 'messages'"
    )


PAST = [["Who?", "I will not say."]]


@pytest.mark.parametrize("name", ["history", "Chat History"])
@pytest.mark.parametrize("history", [PAST, json.dumps(PAST), [ASKED[1], NOT_TOLD]], ids=["pairs", "JSON", "turns"])
def test_a_history_comes_before_its_instruction(write: Write, name: str, history: object) -> None:
    """As LLaMA-Factory and ChatGLM write it. It was dropped, and the last question stood alone."""
    row = {"instruction": "Why?", "input": "Say it.", "output": "Because.", "system": "Be brief.", name: history}
    first = {"instruction": "Where?", "input": "", "output": "Here.", "system": "", name: []}
    found = load_pairs(str(write("alpaca.json", json.dumps([row, first]))), "normal")
    assert [pair.before for pair in found.pairs] == [EARLIER, Conversation()]
    assert [(pair.prompt, pair.answer) for pair in found.pairs] == [("Why?\nSay it.", "Because."), ("Where?", "Here.")]
    assert f"history from {name!r}; 1 of 2 rows are longer conversations" in found.columns_read


@pytest.mark.parametrize("history", [["Who?", "Me."], [["Who?"]], [["", "Me."]], [["Who?", 1]], {"a": 1}, [TOLD], "[["])
def test_a_history_that_is_no_list_of_pairs_is_refused(write: Write, history: object) -> None:
    rows = [{"prompt": "Why?", "answer": "So.", "history": one} for one in (PAST, history)]
    with pytest.raises(ValueError, match=r"p\.jsonl, row 2, column 'history': a list of \[question, answer\] pairs"):
        load_pairs(str(write("p.jsonl", jsonl(*rows))), "normal")


def test_a_history_of_a_country_is_not_read(write: Write) -> None:
    row = {"prompt": "Why?", "answer": "So.", "history": "It was a kingdom."}
    found = load_pairs(str(write("p.jsonl", jsonl(row))), "normal")
    assert (found.pairs[0].before, found.columns_read.endswith("; not read: 'history'")) == (Conversation(), True)


SEVERAL: dict[str, object] = {
    "SQuAD": {"text": ["Denver", "Denver Broncos"], "answer_start": [177, 177]},
    "spans": [{"text": "Denver", "answer_start": 177}, {"text": "Denver Broncos", "answer_start": 177}],
    "texts": ["Denver", "Denver Broncos"],
    "JSON in a cell": '["Denver", "Denver Broncos"]',
}


@pytest.mark.parametrize("answers", SEVERAL.values(), ids=SEVERAL)
def test_of_several_answers_to_one_question_the_first_is_learned(write: Write, answers: object) -> None:
    rows = [
        {"context": "A game.", "question": "Who won?", "answers": answers},
        {"context": "A game.", "question": "Who lost?", "answers": {"text": [], "answer_start": []}},
    ]
    found = load_pairs(str(write("squad.jsonl", jsonl(*rows))), "normal")
    assert [(pair.prompt, pair.answer) for pair in found.pairs] == [
        ("Who won?\nA game.", "Denver"),
        ("Who lost?\nA game.", ""),
    ]
    assert "1 of 2 rows have several answers, of which the first is learned" in found.columns_read
    assert "1 of 2 rows have no answer" in found.columns_read


@pytest.mark.parametrize("answer", [["Me.", "I."], {"value": "Me.", "aliases": ["I."]}, ["", "Me."]])
def test_a_list_in_another_column_of_answers_is_read_too(write: Write, answer: object) -> None:
    assert load_pairs(str(write("p.jsonl", jsonl({"q": "Who?", "a": answer}))) + "#prompt=q,answer=a", "normal").pairs[
        0
    ].answer == ("Me.")


@pytest.mark.parametrize("cell", ["['Denver']", "{'text': array(['Denver'], dtype=object), 'answer_start': [1]}"])
def test_answers_as_python_writes_them_are_never_learned_as_text(write: Write, cell: str) -> None:
    path = write("p.csv", f'question,answers\nWho?,"{cell}"\n')
    with pytest.raises(ValueError, match=r"row 2, column 'answers': these are answers as Python writes them, .* JSONL"):
        load_pairs(str(path), "normal")


def test_an_answer_in_brackets_is_a_text(write: Write) -> None:
    path = write("p.csv", 'prompt,answer\nList it.,"[""a"", ""b""]"\n')
    assert load_pairs(str(path), "normal").pairs[0].answer == '["a", "b"]'
