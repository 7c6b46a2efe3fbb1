"""Find the columns of prompts and answers by the names that published data sets give them. Reads no row.

Read by name are prompt with answer, question/answer, instruction/output (with its input), goal/target, preferences
(chosen/rejected) and lists of turns (messages, conversations), and a system prompt and a history before them. Case,
spaces, hyphens and underscores do not matter. `row_texts.py` reads them, and `safety_labels.py` the columns that say
which answers are harmful.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields

from sku.core.records import PairKind
from sku.data.table import plain_name

PROMPT_NAMES = (
    *("prompt", "question", "instruction", "goal", "behavior", "behaviour", "query", "request", "problem"),
    *("forbidden_prompt", "user_prompt", "prompt_text"),
)
ANSWER_NAMES = ("answer", "response", "output", "completion", "target", "reply", "best_answer", "solution")
VAGUE_PROMPT_NAMES = ("user", "human", "input", "inputs", "input_text")
SEVERAL_ANSWERS_NAMES = ("answers",)
"""Several answers to one question, which say the same in other words: the first is read."""
VAGUE_ANSWER_NAMES = ("assistant", "bot", "gpt", "generation", "outputs", "targets", "output_text", "model_answer")
"""Names that may mean something else too, so they count only where there is nothing clearer."""
TURNS_NAMES = ("messages", "conversations", "conversation", "turns", "dialogue", "contents")
CHOSEN_NAMES = ("chosen", "chosen_response", "preferred", "preferred_output", "accepted")
REJECTED_NAMES = ("rejected", "rejected_response", "dispreferred", "non_preferred_output")
INPUT_NAMES = {
    "instruction": ("input", "context"),
    "question": ("context",),
    "behavior": ("contextstring", "context_string"),
}
"""By the name of the prompt, the text that it is about: in Alpaca and Dolly, in SQuAD, and in HarmBench."""
HISTORY_NAMES = ("history", "chat_history", "conversation_history", "dialogue_history", "dialog_history")
"""Earlier turns, as [question, answer] pairs, of data for LLaMA-Factory and ChatGLM."""
SYSTEM_NAMES = ("system", "system_prompt", "system_message")


@dataclass(frozen=True)
class Columns:
    """The column that holds each field of a pair; None where there is none."""

    prompt: str
    answer: str | None = None
    safe_answer: str | None = None
    category: str | None = None
    input: str | None = None
    """A text that belongs to the instruction in `prompt`, as in Alpaca; it follows on a line of its own."""
    system: str | None = None
    """The system prompt, which is read before the prompt."""
    history: str | None = None
    """Earlier questions with their answers, which are read before the prompt."""

    @property
    def read(self) -> dict[str, str]:
        """The columns that are read, by the field that they hold."""
        used = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: column for name, column in used.items() if column}

    @property
    def text(self) -> str:
        """What is read from where, for a person."""
        return ", ".join(f"{name.replace('_', ' ')} from {column!r}" for name, column in self.read.items())


def find_columns(names: Collection[str], kind: PairKind, named: Mapping[str, str]) -> Columns:
    """Where the fields of a pair are among the columns `names`. What a person named comes first.

    Args:
        names: the columns of all rows.
        kind: of chosen and rejected answers, the rejected one is the harmful answer, and the chosen one the safe or
            normal answer.
        named: maps fields to columns.
    """
    known = {plain_name(name): name for name in reversed(list(names))}

    def first(wanted: Iterable[str]) -> str | None:
        return next((known[name] for name in wanted if name in known and known[name] not in named.values()), None)

    turns, chosen, rejected = first(TURNS_NAMES), first(CHOSEN_NAMES), first(REJECTED_NAMES)
    prompt = named.get("prompt") or first(PROMPT_NAMES) or turns or first(VAGUE_PROMPT_NAMES) or chosen or "prompt"
    answer, safe_answer = first(ANSWER_NAMES + SEVERAL_ANSWERS_NAMES), first(["safe_answer"])
    if not answer and chosen and rejected:
        answer, safe_answer = (rejected, chosen) if kind == "harmful" else (chosen, None)
    return Columns(
        prompt=prompt,
        answer=named.get("answer") or answer or (turns if prompt == turns else first(VAGUE_ANSWER_NAMES)),
        safe_answer=named.get("safe_answer") or safe_answer,
        category=named.get("category") or first(["category"]),
        input=first(INPUT_NAMES.get(plain_name(prompt), ())) if "prompt" not in named else None,
        system=first(SYSTEM_NAMES) if "prompt" not in named else None,
        history=first(HISTORY_NAMES) if "prompt" not in named else None,
    )
