"""Read the texts of a row: plain ones, or those of its conversation. Knows no file format."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from sku.core.conversation import NO_CONVERSATION, Conversation
from sku.core.records import PromptPair
from sku.core.text_lines import require_text
from sku.data.columns import (
    CHOSEN_NAMES,
    REJECTED_NAMES,
    SEVERAL_ANSWERS_NAMES,
    TURNS_NAMES,
    Columns,
    find_columns,
)
from sku.data.dialogues import ASSISTANT, USER, answers_in, dialogue_of, from_json, is_history, read_history, read_turns
from sku.data.table import TableRow, plain_name, require_columns

WRITTEN = "text"
"""The column of answers that `answer --json` writes."""
_PYTHON_LISTS = ("['", '["', "[{'", "{'", "array(")
"""How answers begin that Python wrote, and not JSON."""


def category_text(row: TableRow, columns: Columns) -> str | None:
    """The category in a row: a text, or the first name that applies of those in an object."""
    value = row.values.get(columns.category) if columns.category else None
    if isinstance(value, dict):
        return next((str(name) for name, applies in value.items() if applies is True), None)
    if isinstance(value, list | int | float):
        return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return row.optional(columns.category) if columns.category else None


class RowTexts(NamedTuple):
    """The texts of one row."""

    prompt: str
    before: Conversation
    answer: str | None
    safe_answer: str | None


class _Exchange(NamedTuple):
    """A question in a conversation, and its answer."""

    before: Conversation
    prompt: str
    """Empty if only the assistant speaks."""
    answer: str | None


def row_texts(row: TableRow, columns: Columns) -> RowTexts:
    """The texts of a row: plain ones, or those of its conversation.

    The last answer of a conversation is the answer, the question before it is the prompt, and the rest comes before the
    prompt. Where prompt and answer are in columns of their own, the conversation is that of the answer if it has one. A
    safe answer counts only if it ends the same conversation.

    Raises:
        ValueError: if the row has no prompt, or something that is no text.
    """
    answered = _exchange(row, columns.answer, answered=True) if columns.answer else None
    safe = _exchange(row, columns.safe_answer, answered=True) if columns.safe_answer else None
    if columns.prompt == columns.answer:
        asked = answered
    else:
        asked = _exchange(row, columns.prompt, answered=False)
        if answered and answered.prompt and (asked or answered.before):
            asked = answered
    elsewhere = safe and answered and safe.prompt and safe[:2] != answered[:2]
    return RowTexts(
        asked.prompt if asked and asked.prompt else _plain_prompt(row, columns, asked is not None),
        _with_history(_with_system(asked.before if asked else NO_CONVERSATION, row, columns), row, columns),
        answered.answer if answered else _plain_text(row, columns.answer),
        None if elsewhere else safe.answer if safe else _plain_text(row, columns.safe_answer),
    )


def with_first_answer(row: TableRow, columns: Columns) -> TableRow:
    """The row with one text in the column of answers, where it holds several.

    Raises:
        ValueError: if they are written as Python writes a list, which nobody would learn as an answer.
    """
    texts = several_answers(row, columns)
    if texts is None or columns.answer is None:
        return row
    return replace(row, values={**row.values, columns.answer: texts[0] if texts else None})


def several_answers(row: TableRow, columns: Columns) -> list[str] | None:
    """The texts of a row that has several answers; None if it has one, turns or nothing.

    Raises:
        ValueError: as `with_first_answer` does.
    """
    column = columns.answer
    if column is None or column == columns.prompt:
        return None
    value = row.values.get(column)
    if plain_name(column) in SEVERAL_ANSWERS_NAMES:
        value = from_json(value)
        if isinstance(value, str) and value.lstrip().startswith(_PYTHON_LISTS):
            raise row.fault(column, "these are answers as Python writes them, not as JSON; save the file as JSONL")
    return answers_in(value)


def several_note(rows: Sequence[TableRow], columns: Columns) -> str:
    """How many rows have several answers, of which the first is read, for a person; empty if none has."""
    several = sum(len(several_answers(row, columns) or ()) > 1 for row in rows)
    return f"; {several} of {len(rows)} rows have several answers, of which the first is learned" if several else ""


def conversation_note(pairs: Sequence[PromptPair]) -> str:
    """What is read from conversations, for a person; empty if there are none."""
    longer = sum(bool(pair.before.turns) for pair in pairs)
    systems = sum(bool(pair.before.system) for pair in pairs)
    notes = []
    if longer:
        notes.append(f"{longer} of {len(pairs)} rows are longer conversations, of which the last answer is learned")
    if systems:
        notes.append(f"{systems} of {len(pairs)} rows have a system prompt, which is read before the prompt")
    return "".join(f"; {note}" for note in notes)


def _with_system(before: Conversation, row: TableRow, columns: Columns) -> Conversation:
    """The conversation with the system prompt of a column, unless it has one of its own."""
    system = row.optional(columns.system) if columns.system and not before.system else None
    return replace(before, system=system) if system else before


def without_other_history(columns: Columns, rows: Iterable[TableRow]) -> Columns:
    """The columns without a history that is none: if no row holds a list in it, it may be about the past."""
    column = columns.history
    if column and not any(is_history(row.values.get(column)) for row in rows):
        return replace(columns, history=None)
    return columns


def _with_history(before: Conversation, row: TableRow, columns: Columns) -> Conversation:
    """The conversation after the turns in a column of their own.

    Raises:
        ValueError: if the column holds something else, or a question without text.
    """
    value = row.values.get(columns.history) if columns.history else None
    if columns.history is None or value is None or value == "":
        return before
    turns = read_history(value)
    if turns is None or not all(turn.prompt for turn in turns):
        raise row.fault(columns.history, "a list of [question, answer] pairs, as JSON, is wanted, or nothing")
    for text in Conversation(turns=turns).texts:
        require_text(text, f"{row.file}, row {row.number}, column {columns.history!r}")
    return replace(before, turns=(*turns, *before.turns))


def _plain_text(row: TableRow, column: str | None) -> str | None:
    return row.optional(column) if column else None


def _plain_prompt(row: TableRow, columns: Columns, has_turns: bool) -> str:
    """The prompt in a row where no conversation holds it."""
    if plain_name(columns.prompt) in CHOSEN_NAMES + REJECTED_NAMES:
        raise row.fault(columns.prompt, "this is an answer, and there is no column of prompts; add one")
    text = None if has_turns else row.optional(columns.prompt)
    if text is None:
        raise row.fault(columns.prompt, "nothing is there; text is wanted")
    more = row.optional(columns.input) if columns.input else None
    return f"{text}\n{more}" if more else text


def _exchange(row: TableRow, column: str, answered: bool) -> _Exchange | None:
    """The last question of a conversation in a cell; None if the cell holds a text.

    Args:
        row: of the cell.
        column: of the cell.
        answered: whether the last question that has an answer is wanted, if there is one.
    """
    turns = _turns(row, column)
    if turns is None:
        return None
    if not any(speaker in USER for speaker, _ in turns):
        said = "\n".join(text.strip() for speaker, text in turns if speaker in ASSISTANT)
        return _Exchange(NO_CONVERSATION, "", said or None)
    conversation, open_question = dialogue_of(turns)
    if not conversation.turns or (open_question and not answered):
        return _Exchange(conversation, open_question, None)
    *earlier, last = conversation.turns
    return _Exchange(Conversation(conversation.system, tuple(earlier)), last.prompt, last.answer or None)


def prompts_with_answers(rows: Sequence[TableRow], blank_answers: bool = True) -> list[tuple[str, str]]:
    """The prompt and the answer in each row, as somebody's model wrote it.

    Args:
        rows: of one file.
        blank_answers: whether an answer may be blank.

    Raises:
        ValueError: for the first row without a prompt, without a column of answers, or with a blank answer that may not
            be.
    """
    names = list(dict.fromkeys(name for row in rows for name in row.values))
    columns = find_columns(names, "normal", {})
    columns = replace(columns, answer=columns.answer or (WRITTEN if WRITTEN in names else "answer"), history=None)
    for row in rows:
        require_columns(row, (columns.prompt, columns.answer or ""))
    texts = [row_texts(row, columns) for row in rows]
    for row, text in zip(rows, texts, strict=True):
        if not text.answer and not blank_answers:
            raise row.fault(columns.answer or "", "nothing is there; text is wanted")
    return [(text.prompt, text.answer or "") for text in texts]


def _turns(row: TableRow, column: str) -> list[tuple[str, str]] | None:
    """The turns in a cell; None if it holds something else.

    Raises:
        ValueError: if no user and no assistant speaks, or a text is not valid.
    """
    turns = read_turns(row.values.get(column))
    if turns is None and plain_name(column) in TURNS_NAMES and row.optional(column) is not None:
        raise row.fault(column, "this is no list of turns; turns with role and content, as JSON, are wanted")
    if turns is None:
        return None
    if not any(speaker in USER + ASSISTANT for speaker, _ in turns):
        raise row.fault(column, "there is no turn of a user or an assistant; turns with role and content are wanted")
    where = f"{row.file}, row {row.number}, column {column!r}"
    return [(speaker, require_text(text, where)) for speaker, text in turns]
