"""`xstest:FILE`: prompts that sound harmful and are not, and contrasts that are (Röttger et al. 2024), a local CSV.

Over-refusal is measured on the safe ones. Answers in the file are not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sku.core.records import PairKind, PromptPair
from sku.data import table
from sku.data.dataset import Source

_COLUMNS = ("prompt", "type")
_CONTRAST = "contrast_"
"""How the type of an unsafe prompt begins."""


def _read_pairs(path: Path, kind: PairKind) -> Iterator[PromptPair | None]:
    """Safe prompts as normal pairs, unsafe contrasts as harmful ones; the category is the authors' type.

    A file with answers of several models repeats each prompt; it is taken once.
    """
    seen: set[str] = set()
    for row in table.read_table(path, _COLUMNS):
        category = row.text("type")
        if category.startswith(_CONTRAST) != (kind == "harmful"):
            yield None
            continue
        pair = PromptPair(row.text("prompt"), "", kind, "xstest", category)
        yield None if pair.prompt_id in seen else pair
        seen.add(pair.prompt_id)


XSTEST = Source(
    name="xstest",
    description="XSTest: safe prompts that sound harmful (normal) and unsafe contrasts (harmful); no answers",
    licence="CC-BY-4.0",
    read_pairs=_read_pairs,
    needs_file="required",
    has_answers=False,
    columns=_COLUMNS,
)
