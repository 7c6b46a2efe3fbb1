"""Find prompt and answer in a row, by the names that published data sets give them. Knows no file format.

Read by name are prompt with answer, question/answer, instruction/output (with its input), goal/target, preferences
(chosen/rejected) and lists of turns (messages, conversations). Case, spaces, hyphens and underscores do not matter.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields

from sku.core.records import PairKind
from sku.core.text_lines import require_text
from sku.data.dialogues import ASSISTANT, SYSTEM, USER, read_turns
from sku.data.table import TableRow

PROMPT_NAMES = ("prompt", "question", "instruction", "goal", "behavior", "behaviour", "query", "request")
ANSWER_NAMES = ("answer", "response", "output", "completion", "target", "reply", "best_answer")
TURNS_NAMES = ("messages", "conversations", "conversation", "turns", "dialogue")
CHOSEN, REJECTED, INPUT = "chosen", "rejected", "input"


@dataclass(frozen=True)
class Columns:
    """The column that holds each field of a pair; None where there is none."""

    prompt: str
    answer: str | None = None
    safe_answer: str | None = None
    category: str | None = None
    input: str | None = None
    """A text that belongs to the instruction in `prompt`, as in Alpaca; it follows on a line of its own."""

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

    turns, chosen, rejected = first(TURNS_NAMES), first([CHOSEN]), first([REJECTED])
    prompt = named.get("prompt") or first(PROMPT_NAMES) or turns or chosen or "prompt"
    answer, safe_answer = first(ANSWER_NAMES), first(["safe_answer"])
    if not answer and chosen and rejected:
        answer, safe_answer = (rejected, chosen) if kind == "harmful" else (chosen, None)
    return Columns(
        prompt=prompt,
        answer=named.get("answer") or answer or (turns if prompt == turns else None),
        safe_answer=named.get("safe_answer") or safe_answer,
        category=named.get("category") or first(["category"]),
        input=first([INPUT]) if _plain(prompt) == "instruction" and not named else None,
    )


def is_long_preference(row: TableRow, columns: Columns) -> bool:
    """Whether the answers in a row are the last turns of a longer dialogue, so that no prompt alone leads to them."""
    value = row.values.get(columns.answer) if columns.answer else None
    if columns.answer is None or _plain(columns.answer) not in (CHOSEN, REJECTED):
        return False
    return sum(speaker in USER for speaker, _ in read_turns(value) or ()) > 1


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
    if _plain(columns.prompt) in (CHOSEN, REJECTED) and read_turns(row.values.get(columns.prompt)) is None:
        raise row.fault(columns.prompt, "this is an answer, and there is no column of prompts; add one")
    text = _field(row, columns.prompt, USER)
    if text is None:
        raise row.fault(columns.prompt, "nothing is there; text is wanted")
    more = row.optional(columns.input) if columns.input else None
    return f"{text}\n{more}" if more else text


def answer_text(row: TableRow, column: str | None) -> str | None:
    """The answer in a row: a text, or the assistant's answer to the first turn in a list of turns."""
    return _field(row, column, ASSISTANT) if column else None


def _field(row: TableRow, column: str, speakers: tuple[str, ...]) -> str | None:
    turns = read_turns(row.values.get(column))
    if turns is None:
        return row.optional(column)
    if not any(speaker in USER + ASSISTANT for speaker, _ in turns):
        raise row.fault(column, "there is no turn of a user or an assistant; turns with role and content are wanted")
    asked = next((i for i, (speaker, _) in enumerate(turns) if speaker in USER), 0)  # a greeting may come before
    text = next((text for speaker, text in turns[asked:] if speaker in speakers), "")
    return require_text(text, f"{row.file}, row {row.number}, column {column!r}").strip() or None


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip().casefold())
