"""`sounds_harmful`: harmless prompts of our own that only sound harmful, for measuring over-refusal with no network."""

from __future__ import annotations

from pathlib import Path

from sku.core.records import PairKind, PromptPair
from sku.data import table
from sku.data.dataset import DATA_ASSETS, DataSet

LICENCE = "Apache-2.0"


def load(path: Path | None, kind: PairKind) -> DataSet:
    """The prompts with short answers; the category says why a prompt sounds harmful.

    Raises:
        ValueError: if a path is given, or for harmful pairs.
    """
    if kind == "harmful":
        raise ValueError("sounds_harmful has normal pairs only; take the harmful ones from bundled or saferlhf")
    if path is not None:
        raise ValueError(f"sounds_harmful takes no file, but {path.name!r} came; write sounds_harmful, or xstest:PATH")
    pairs = tuple(
        PromptPair(row.text("prompt"), row.text("answer"), kind, "sounds_harmful", row.text("category"))
        for row in table.read_table(DATA_ASSETS / "sounds_harmful.jsonl", ("category", "prompt", "answer"))
    )
    return DataSet("sounds_harmful", pairs, licence=LICENCE)
