"""Lists of the data sources for the page, the command line and documents, all derived from `SOURCES`."""

from __future__ import annotations

from sku.core.records import PairKind
from sku.data import PREFILLED, SELF, SOURCES
from sku.data.dataset import Source

OWN_ANSWERS_LABEL = "own answers of the base"
"""What the page shows for `self`."""


def page_sources(kind: PairKind) -> dict[str, str]:
    """The sources that the page offers for training: label to spec, in the order shown.

    The base may answer the prompts of every normal source that is offered. It need not do so for `bundled`: that is
    what `self` alone means.
    """
    offered = {source.labels[kind]: source.name for source in SOURCES.values() if kind in source.labels}
    if kind == "harmful":
        return offered
    answered = {f"own answers to {label}": f"{SELF}:{name}" for label, name in offered.items() if name != "bundled"}
    return {OWN_ANSWERS_LABEL: SELF, **offered, **answered}


def training_sources(kind: PairKind) -> str:
    """The specs that training accepts, for the help of an option: only sources whose pairs have answers."""
    specs = [source.spec for source in SOURCES.values() if kind in source.kinds and source.has_answers]
    return ", ".join([*specs, f"{SELF}[:SOURCE]", f"{PREFILLED}[:SOURCE]", "or a file"])


def sources_table() -> list[str]:
    """The lines of a Markdown table of all sources: spec, kinds, what they are, licence."""
    return ["| source | pairs | what | licence |", "| --- | --- | --- | --- |", *map(_table_row, SOURCES.values())]


def _table_row(source: Source) -> str:
    return f"| `{source.spec}` | {' and '.join(source.kinds)} | {source.description} | {source.licence} |"
