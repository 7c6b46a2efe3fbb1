"""Your own JSONL, CSV or JSON file. Its columns may have any names: `my.csv#prompt=question,answer=reply`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sku.core.records import PairKind, PromptPair
from sku.data import table
from sku.data.dataset import DataSet

PAIR_FIELDS = ("prompt", "answer", "safe_answer", "category")


def parse_columns(text: str) -> dict[str, str]:
    """Which column holds which field, from text such as `prompt=question,answer=reply`; empty text names none.

    Raises:
        ValueError: for any other text, with the fields that can be named.
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
    """One pair a row. Each field is read from the column in `named`, or else from the column of the field's own name.

    Every column in `named` must exist, and so must the prompts. Answers may be missing: prompts alone are enough to
    measure with.
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
