"""Any JSONL, CSV or JSON file of one's own, with named columns: `my.csv#prompt=question,answer=reply`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sku.core.records import PairKind, PromptPair
from sku.data import table
from sku.data.dataset import DataSet

PAIR_FIELDS = ("prompt", "answer", "safe_answer", "category")


def parse_columns(text: str) -> dict[str, str]:
    """Field by field the column that holds it, from `prompt=question,answer=reply`; nothing from nothing.

    Raises:
        ValueError: for anything else, with the fields that can be named.
    """
    named: dict[str, str] = {}
    for part in text.split(",") if text else ():
        field, equals, column = part.partition("=")
        if field not in PAIR_FIELDS or not equals or not column or field in named:
            raise ValueError(
                f"{part!r} names no column; write FIELD=COLUMN, each of {', '.join(PAIR_FIELDS)} at most once"
            )
        named[field] = column
    return named


def load_custom(path: Path, kind: PairKind, named: Mapping[str, str]) -> DataSet:
    """A pair a row, from the columns in `named`, or called like the field where it names none.

    A column that is named must be there, and so must the prompts. An answer may be missing: a list of prompts is good
    for measuring.
    """
    column = {field: named.get(field, field) for field in PAIR_FIELDS}
    needed = {column["prompt"], *named.values()}
    advice = "" if named else f"; name yours after the path: {path.name}#prompt=COLUMN,answer=COLUMN"
    pairs = tuple(
        PromptPair(
            prompt=row.text(column["prompt"]),
            answer=row.optional(column["answer"]) or "",
            kind=kind,
            source=path.name,
            category=row.optional(column["category"]),
            safe_answer=row.optional(column["safe_answer"]),
        )
        for row in table.read_table(path, needed, advice)
    )
    return DataSet(path.name, pairs)
