"""Find prompt and answer in a row, by the names that published data sets give them. Knows no file format.

Read by name are prompt with answer, question/answer, instruction/output (with its input), goal/target, preferences
(chosen/rejected) and lists of turns (messages, conversations). Case, spaces, hyphens and underscores do not matter. A
column that says of each answer whether it is safe (BeaverTails) decides which rows are harmful pairs.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

from sku.core.records import PairKind
from sku.core.text_lines import require_text
from sku.data.dialogues import ASSISTANT, SYSTEM, USER, read_turns
from sku.data.table import TableRow, require_columns

PROMPT_NAMES = (
    *("prompt", "question", "instruction", "goal", "behavior", "behaviour", "query", "request", "problem"),
    *("forbidden_prompt", "user_prompt", "prompt_text"),
)
ANSWER_NAMES = ("answer", "response", "output", "completion", "target", "reply", "best_answer", "solution")
VAGUE_PROMPT_NAMES = ("user", "human", "input", "inputs", "input_text")
VAGUE_ANSWER_NAMES = ("assistant", "bot", "gpt", "generation", "outputs", "targets", "output_text", "model_answer")
"""Names that may mean something else too, so they count only where there is nothing clearer."""
TURNS_NAMES = ("messages", "conversations", "conversation", "turns", "dialogue", "contents")
CHOSEN_NAMES = ("chosen", "chosen_response", "preferred", "preferred_output", "accepted")
REJECTED_NAMES = ("rejected", "rejected_response", "dispreferred", "non_preferred_output")
INPUT_NAMES = ("input", "context")
"""In Alpaca and in Dolly, the text that an instruction is about."""
WRITTEN = "text"
"""The column of answers that `answer --json` writes."""
SAFE_NAMES = ("is_safe", "is_response_safe")


@dataclass(frozen=True)
class Columns:
    """The column that holds each field of a pair; None where there is none."""

    prompt: str
    answer: str | None = None
    safe_answer: str | None = None
    category: str | None = None
    input: str | None = None
    """A text that belongs to the instruction in `prompt`, as in Alpaca; it follows on a line of its own."""
    safe: str | None = None
    """Says whether the answer is safe."""

    @property
    def text(self) -> str:
        """What is read from where, for a person."""
        used = [(field.name, getattr(self, field.name)) for field in fields(self)]
        return ", ".join(f"{name.replace('_', ' ')} from {column!r}" for name, column in used if column)


def find_columns(names: Collection[str], kind: PairKind, named: Mapping[str, str]) -> Columns:
    """Where the fields of a pair are among the columns `names`. What a person named comes first.

    Args:
        names: the columns of all rows.
        kind: of chosen and rejected answers, the rejected one is the harmful answer, and the chosen one the safe or
            normal answer.
        named: maps fields to columns.
    """
    known = {_plain(name): name for name in reversed(list(names))}

    def first(wanted: Iterable[str]) -> str | None:
        return next((known[name] for name in wanted if name in known and known[name] not in named.values()), None)

    turns, chosen, rejected = first(TURNS_NAMES), first(CHOSEN_NAMES), first(REJECTED_NAMES)
    prompt = named.get("prompt") or first(PROMPT_NAMES) or turns or first(VAGUE_PROMPT_NAMES) or chosen or "prompt"
    answer, safe_answer = first(ANSWER_NAMES), first(["safe_answer"])
    if not answer and chosen and rejected:
        answer, safe_answer = (rejected, chosen) if kind == "harmful" else (chosen, None)
    return Columns(
        prompt=prompt,
        answer=named.get("answer") or answer or (turns if prompt == turns else first(VAGUE_ANSWER_NAMES)),
        safe_answer=named.get("safe_answer") or safe_answer,
        category=named.get("category") or first(["category"]),
        input=first(INPUT_NAMES) if _plain(prompt) == "instruction" and not named else None,
        safe=first(SAFE_NAMES) if not named else None,
    )


def is_long_preference(row: TableRow, columns: Columns) -> bool:
    """Whether the answers in a row are the last turns of a longer dialogue, so that no prompt alone leads to them."""
    value = row.values.get(columns.answer) if columns.answer else None
    if columns.answer is None or _plain(columns.answer) not in CHOSEN_NAMES + REJECTED_NAMES:
        return False
    return sum(speaker in USER for speaker, _ in read_turns(value) or ()) > 1


def is_of_kind(row: TableRow, columns: Columns, kind: PairKind) -> bool:
    """Whether the answer in a row is one of this kind, where a column says whether it is safe; else True."""
    return columns.safe is None or row.truth(columns.safe) == (kind == "normal")


def category_text(row: TableRow, columns: Columns) -> str | None:
    """The category in a row: a text, or the first name that applies of those in an object."""
    value = row.values.get(columns.category) if columns.category else None
    if isinstance(value, dict):
        return next((str(name) for name, applies in value.items() if applies is True), None)
    if isinstance(value, list | int | float):
        return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return row.optional(columns.category) if columns.category else None


def left_out_note(rows: Iterable[TableRow], columns: Columns) -> str:
    """What of the conversations in the rows is not used, for a person; empty if all of it is."""
    dialogues = [read_turns(row.values.get(columns.prompt)) or [] for row in rows]
    longer = sum(sum(speaker in USER for speaker, _ in turns) > 1 for turns in dialogues)
    systems = sum(any(speaker in SYSTEM for speaker, _ in turns) for turns in dialogues)
    notes = []
    if longer:
        notes.append(
            f"in {longer} of {len(dialogues)} rows only the first question and answer of a longer conversation are used"
        )
    if systems:
        notes.append(f"in {systems} of {len(dialogues)} rows the system prompt is left out")
    return "".join(f"; {note}" for note in notes)


def prompt_text(row: TableRow, columns: Columns) -> str:
    """The prompt in a row: a text, or the first turn of the user in a list of turns."""
    if _plain(columns.prompt) in CHOSEN_NAMES + REJECTED_NAMES and read_turns(row.values.get(columns.prompt)) is None:
        raise row.fault(columns.prompt, "this is an answer, and there is no column of prompts; add one")
    text = _field(row, columns.prompt, USER)
    if text is None:
        raise row.fault(columns.prompt, "nothing is there; text is wanted")
    more = row.optional(columns.input) if columns.input else None
    return f"{text}\n{more}" if more else text


def answer_text(row: TableRow, column: str | None) -> str | None:
    """The answer in a row: a text, or the assistant's answer to the first turn in a list of turns."""
    return _field(row, column, ASSISTANT) if column else None


def prompts_with_answers(rows: Sequence[TableRow]) -> list[tuple[str, str]]:
    """The prompt and the answer in each row, as somebody's model wrote it; an answer may be blank.

    Raises:
        ValueError: for the first row without a prompt, or without a column of answers.
    """
    names = list(dict.fromkeys(name for row in rows for name in row.values))
    columns = find_columns(names, "normal", {})
    answer = columns.answer or (WRITTEN if WRITTEN in names else "answer")
    for row in rows:
        require_columns(row, (columns.prompt, answer))
    return [(prompt_text(row, columns), answer_text(row, answer) or "") for row in rows]


def _field(row: TableRow, column: str, speakers: tuple[str, ...]) -> str | None:
    turns = read_turns(row.values.get(column))
    if turns is None and _plain(column) in TURNS_NAMES and row.optional(column) is not None:
        raise row.fault(column, "this is no list of turns; turns with role and content, as JSON, are wanted")
    if turns is None:
        return row.optional(column)
    if not any(speaker in USER + ASSISTANT for speaker, _ in turns):
        raise row.fault(column, "there is no turn of a user or an assistant; turns with role and content are wanted")
    asked = next((i for i, (speaker, _) in enumerate(turns) if speaker in USER), 0)  # a greeting may come before
    text = next((text for speaker, text in turns[asked:] if speaker in speakers), "")
    return require_text(text, f"{row.file}, row {row.number}, column {column!r}").strip() or None


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip().casefold())
