"""`xstest:PATH`: prompts that sound harmful and are not, and contrasts that are (Röttger et al. 2024), a local CSV.

The safe ones are what over-refusal is measured on. Prompts only: no answers.
"""

from __future__ import annotations

from pathlib import Path

from sku.core.records import PairKind, PromptPair
from sku.data import table
from sku.data.dataset import DataSet

LICENCE = "CC-BY-4.0"
_CONTRAST = "contrast_"


def load(path: Path | None, kind: PairKind) -> DataSet:
    """The safe prompts as normal, the unsafe contrasts as harmful; the category is the authors' type.

    A file with answers repeats each prompt; it is taken once. `skipped` counts the rows of the other kind too.

    Raises:
        ValueError: without a path.
    """
    if path is None:
        raise ValueError("xstest is read from a local file; write xstest:PATH, with columns prompt and type")
    rows = list(table.read_table(path, ("prompt", "type")))
    pairs: dict[str, PromptPair] = {}
    for row in rows:
        category = row.text("type")
        if category.startswith(_CONTRAST) == (kind == "harmful"):
            pair = PromptPair(row.text("prompt"), "", kind, "xstest", category)
            pairs.setdefault(pair.prompt_id, pair)
    return DataSet("xstest", tuple(pairs.values()), skipped=len(rows) - len(pairs), licence=LICENCE)
