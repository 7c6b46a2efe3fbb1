"""What a data source is, and what it gives. Knows no file format and no single source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sku.core.records import PairKind, PromptPair, digest
from sku.data.wrong_decoding import decoding_note

SELF = "self"
"""Stands for the base's own greedy answers. They need a model, so they are made by the caller of `load_pairs`."""
PREFILLED = "prefilled"
"""Stands for the base's own answers to harmful prompts after a beginning that complies, such as "Sure, here is"."""
FileUse = Literal["required", "optional", "forbidden"]


@dataclass(frozen=True)
class DataSet:
    """Pairs of one source, in the order of its file."""

    name: str
    """The spec as given, but without the folders of a local path: this is written into run.json."""
    pairs: tuple[PromptPair, ...]
    skipped: int = 0
    """How many rows or answers were left out by rule, such as safe answers where harmful ones were asked for."""
    licence: str | None = None
    """Unknown for a file of your own."""
    columns_read: str = ""
    """For a file of your own: which columns were read, and what of conversations was not, for a person."""
    columns_there: tuple[str, ...] = ()
    """For a file of your own: all its columns."""

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def warning(self) -> str:
        """What seems to be wrong with the texts, for a person; empty if nothing does."""
        return decoding_note(self.pairs)

    @property
    def content_hash(self) -> str:
        """16 hex digits that change with any prompt, answer or safe answer, and with the order of the pairs."""
        return digest(*(part for pair in self.pairs for part in (pair.id, pair.safe_answer) if part))


@dataclass(frozen=True)
class Source:
    """Everything about one data source. What lists, checks or documents sources derives from this record."""

    name: str
    """What a spec begins with, and the `source` of its pairs."""
    description: str
    """One line for help and documents: what the pairs are."""
    licence: str
    read_pairs: Callable[[Path, PairKind], Iterable[PromptPair | None]]
    """Reads the pairs of one kind from a file; yields None in place of each one that is left out by rule."""
    needs_file: FileUse
    """Whether a spec must, may or must not name a file, as in `NAME:FILE`."""
    default_file: Callable[[PairKind], Path] | None = None
    """Finds the file to read where the spec names none. May raise `Unavailable`."""
    kinds: tuple[PairKind, ...] = ("harmful", "normal")
    """The kinds of pairs it has."""
    has_answers: bool = True
    """False if it has prompts only: enough to measure with, and for `self:NAME` to answer."""
    columns: tuple[str, ...] = ()
    """The columns of its file, where all its files have the same."""
    labels: Mapping[PairKind, str] = field(default_factory=dict)
    """What the list on the page shows, by kind of pairs; the page does not offer a kind that is not in here."""

    def __post_init__(self) -> None:
        if (self.needs_file == "required") != (self.default_file is None):
            raise ValueError(f"source {self.name} must either require a file or have a default file, not both")
        if self.needs_file == "required" and not self.columns:
            raise ValueError(f"source {self.name} requires a file; say which columns the file must have")

    @property
    def spec(self) -> str:
        """How to name it on a command line: `bundled`, `saferlhf[:FILE]`, `advbench:FILE`."""
        return self.name + {"required": ":FILE", "optional": "[:FILE]", "forbidden": ""}[self.needs_file]
