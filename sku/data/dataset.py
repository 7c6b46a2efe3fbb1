"""What every data source returns. Knows no file format and no hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sku.core.records import PromptPair, digest

DATA_ASSETS = Path(__file__).parents[2] / "assets" / "data"
"""Where the bundled pairs lie."""
SELF = "self"
"""Names the base's own greedy answers. They need a model, so `load` refuses the name: its caller makes them."""


@dataclass(frozen=True)
class DataSet:
    """Pairs of one or more sources, in the order of their files."""

    name: str
    """The spec as given, without the folders of a local path: this goes into run.json."""
    pairs: tuple[PromptPair, ...]
    skipped: int = 0
    """Rows left out by rule, such as safe answers where harmful ones were asked for."""
    licence: str | None = None
    """Unknown for a file of one's own."""

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def content_hash(self) -> str:
        """16 hex digits over the pairs in order: other prompts, answers, safe answers or order, another hash."""
        return digest(*(part for pair in self.pairs for part in (pair.id, pair.safe_answer) if part))
