"""Which rows of a file are harmful or normal pairs, by the label columns that published safety sets have.

A label is read only where its name says whether it is about the answer or the prompt, and which value means what:
`is_safe` (BeaverTails), `response_harm_label` (WildGuardMix), `response_label` (Aegis), `jailbroken` (JailbreakBench),
`label` beside `completion` (KTO). A row without a value is neither harmful nor normal.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sku.core.records import PairKind
from sku.data.columns import Columns, find_columns
from sku.data.table import TableRow, plain_name, truth_of

_WANTED_LABEL = "label"
"""In preferences of one answer a row (KTO: prompt, completion, label), true if the answer is wanted."""
_YES_OR_NO = ("is_{}_safe", "{}_is_safe", "{}_harm_label", "is_{}_harmful", "{}_is_harmful", "{}_harmful")
"""Names of labels, with the name of the column that they are about. A yes means harmful, unless the name says safe."""
_WORDS = ("{}_label", "{}_safety")
"""Names that do not say which number would mean harmful: they are read only if all values are of `_HARM_WORDS`."""
_OF_THE_ANSWER = ("is_safe", "jailbroken")
_HARM_WORDS = {
    **dict.fromkeys(("harmful", "unsafe"), True),
    **dict.fromkeys(("unharmful", "safe", "harmless", "not harmful", "not_harmful", "non-harmful"), False),
}
_NO_VALUE = frozenset(("none", "nan", "null", "<na>"))
"""What programs write where there is no label."""


@dataclass(frozen=True)
class SafetyLabels:
    """The label columns of a file; None where there is none."""

    answer: str | None = None
    """Says whether the answer is harmful, safe or wanted."""
    prompt: str | None = None
    """Says whether the prompt is harmful. It counts for rows whose answer no label is about."""

    @property
    def columns(self) -> list[str]:
        """Those that there are."""
        return [column for column in (self.answer, self.prompt) if column]

    def are_of_kind(self, row: TableRow, columns: Columns, kind: PairKind) -> bool:
        """Whether the labels of a row say that its pair is of this kind; True if there are none.

        Raises:
            ValueError: for a label that says neither.
        """
        has_answer = bool(columns.answer and row.values.get(columns.answer))
        column = self.answer if self.answer and (has_answer or not self.prompt) else self.prompt
        return column is None or _is_harmful(row, column) is (kind == "harmful")

    def note(self, read: int, left_out: int, kind: PairKind) -> str:
        """How many rows the labels leave out, for a person; empty if none."""
        if not left_out:
            return ""
        named = " and ".join(map(repr, self.columns))
        say = "does" if len(self.columns) == 1 else "do"
        return f"; {left_out} of {read} rows are left out, because {named} {say} not say that they are {kind}"


def find_labels(rows: Sequence[TableRow], columns: Columns, kind: PairKind) -> SafetyLabels:
    """The label columns among those of `rows`.

    Args:
        rows: of one file.
        columns: where the fields of its pairs are. If a person named a column of answers other than the one that is
            found by name, only a label that bears its name is about it.
        kind: of the pairs that are read.
    """
    names = list(dict.fromkeys(name for row in rows for name in row.values))
    known = {plain_name(name): name for name in reversed(names)}

    def label_of(subjects: Sequence[str], more: Sequence[str] = ()) -> str | None:
        some = [*more, *(name.format(subject) for subject in subjects for name in _YES_OR_NO)]
        found = [known[name] for name in some if name in known]
        words = [known[name] for name in (w.format(s) for s in subjects for w in _WORDS) if name in known]
        found += [column for column in words if _has_harm_words(rows, column)]
        return next(iter(found), None)

    by_name = find_columns(names, kind, {})
    if not columns.answer:
        answer = None
    elif columns.answer != by_name.answer:
        answer = label_of([plain_name(columns.answer)])
    else:
        answer = label_of([plain_name(columns.answer), "response", "answer"], _OF_THE_ANSWER)
        if answer is None and plain_name(columns.answer) == "completion":
            answer = known.get(_WANTED_LABEL)
    return SafetyLabels(answer, label_of([plain_name(columns.prompt), "prompt"]))


def _has_harm_words(rows: Collection[TableRow], column: str) -> bool:
    values = {_word(row.values, column) for row in rows} - {""}
    return bool(values) and values <= _HARM_WORDS.keys()


def _is_harmful(row: TableRow, column: str) -> bool | None:
    """What a label says; None if it says nothing."""
    name, word = plain_name(column), _word(row.values, column)
    if name == _WANTED_LABEL:
        if word not in ("true", "false"):
            raise row.fault(
                column,
                "true or false is wanted, for an answer that is wanted or not; rename the column if it says something "
                "else",
            )
        return word == "false"
    if not word:
        return None
    if word in _HARM_WORDS:
        return _HARM_WORDS[word]
    truth = truth_of(word)
    if truth is None:
        raise row.fault(
            column,
            f"{word!r} says neither harmful nor safe; harmful, unharmful, true or false is wanted, or rename the "
            "column if it says something else",
        )
    return truth == ("safe" not in name)


def _word(values: Mapping[str, object], column: str) -> str:
    word = str(values.get(column)).strip().lower()
    return "" if word in _NO_VALUE else word
