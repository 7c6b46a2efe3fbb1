"""Prompt pairs and where they come from: one source a file, all listed in `SOURCES`. Knows no model and no tokenizer.

A *spec* names a source. It is one of
- NAME or NAME:FILE, with the NAME of a source in `SOURCES`, which also says whether it reads a FILE;
- the path of a JSONL, CSV, TSV or JSON file. Its columns are found by the names that published data sets use
  (`columns.py`); others are named after a `#`: `my.csv#prompt=text,answer=reply`.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
from functools import cache
from pathlib import Path
from typing import get_args

from sku.core.errors import Unavailable
from sku.core.peft_folders import is_hub_id
from sku.core.records import PairKind
from sku.data import advbench, bundled, custom, do_not_answer, labelled, saferlhf, truthfulqa, xstest
from sku.data.dataset import PREFILLED, SELF, DataSet, Source
from sku.data.splits import side_of
from sku.data.table import TABLE_SUFFIXES

__all__ = [
    "PREFILLED", "SELF", "SOURCES", "DataSet", "Source", "Unavailable", "is_own_file", "load_pairs", "measured_prompts",
    "spec_in_folder", "split_columns",
]  # fmt: skip

SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        bundled.BUNDLED,
        saferlhf.SAFERLHF,
        truthfulqa.TRUTHFULQA,
        advbench.ADVBENCH,
        labelled.LABELLED,
        xstest.XSTEST,
        do_not_answer.DO_NOT_ANSWER,
        bundled.SOUNDS_HARMFUL,
        bundled.PLAIN_REQUESTS,
        bundled.HARMFUL_REQUESTS,
    )
}
"""Every source by name, in the order in which lists show them."""


def load_pairs(spec: str, kind: PairKind) -> DataSet:
    """Load the pairs of one source.

    Args:
        spec: NAME, NAME:FILE or a path, as this module's docstring says.
        kind: which of the source's pairs are wanted. The pairs of your own file are of the kind that you say here.

    Raises:
        FileNotFoundError: if there is no such file.
        Unavailable: if the source is on the hub and cannot be fetched.
        ValueError: for an unknown source, a file that cannot be read, or a source without pairs of this kind.
    """
    if kind not in get_args(PairKind):
        raise ValueError(f"kind {kind!r} is not known; choose harmful or normal")
    head, columns = split_columns(spec)
    name, colon, path = head.partition(":")
    if name in (SELF, PREFILLED):
        raise ValueError(f"source {spec!r} needs a model, which writes its own answers; it cannot be loaded from data")
    if name in SOURCES:
        if columns:
            raise ValueError(f"{name} knows its columns, but {columns!r} came; leave out the # and what follows it")
        found = _load_source(SOURCES[name], path if colon else None, kind)
    elif "://" in head:
        raise ValueError(f"data source {spec!r} is an address; download the file and give its path")
    elif _is_path(head):
        found = custom.load_custom(_expand_user(head), kind, custom.parse_columns(columns))
    elif head and os.path.isdir(_expand_user(head)):
        raise ValueError(f"data source {spec!r} is a folder; give the path of a data file in it")
    elif is_hub_id(head):
        raise ValueError(
            f"data source {spec!r} is neither a file here nor a known source; if it is a data set on the hub, download "
            "one of its JSONL or CSV files and give its path"
        )
    else:
        raise ValueError(f"data source {spec!r} is not known; {_suggest_names(name)}")
    if not found.pairs:
        raise ValueError(
            f"{found.name} has no {kind} pair: all {found.skipped} were left out by rule; choose another source"
        )
    return dataclasses.replace(found, name=f"{found.name}#{columns}") if columns else found


def spec_in_folder(spec: str, folder: Path) -> str:
    """The spec with its file in `folder`, if it names a file and one of that name is there; else the spec as it is.

    A spec that begins with `self:` or `prefilled:` is accepted too.
    """
    prefix, colon, rest = spec.partition(":")
    if prefix in (SELF, PREFILLED) and rest:
        return f"{prefix}:{spec_in_folder(rest, folder)}"
    before = f"{prefix}:" if prefix in SOURCES and colon else ""
    head, columns = split_columns(spec.removeprefix(before))
    file = folder / Path(head).name
    if not (before or _is_path(head)) or not file.is_file():
        return spec
    return f"{before}{file}" + (f"#{columns}" if columns else "")


def _load_source(source: Source, path: str | None, kind: PairKind) -> DataSet:
    """The pairs of a known source, after the checks that all sources share."""
    name = source.name
    if path == "":
        raise ValueError(f"'{name}:' names no file; write {name}:PATH")
    if kind not in source.kinds:
        offered = " or ".join(other.name for other in SOURCES.values() if kind in other.labels)
        raise ValueError(f"{name} has {source.kinds[0]} pairs only; take the {kind} ones from {offered}")
    if path is not None and source.needs_file == "forbidden":
        raise ValueError(f"{name} takes no file, but {Path(path).name!r} came; write {name}, or the path alone")
    if path is not None:
        name, file = f"{name}:{Path(path).name}", _expand_user(path)
    elif source.default_file is not None:
        file = source.default_file(kind)
    else:
        columns = f"{', '.join(source.columns[:-1])} and {source.columns[-1]}"
        raise ValueError(f"{name} is read from a local file; write {name}:PATH, with columns {columns}")
    found = list(source.read_pairs(file, kind))
    pairs = tuple(pair for pair in found if pair is not None)
    return DataSet(name, pairs, skipped=len(found) - len(pairs), licence=source.licence)


def is_own_file(spec: str) -> bool:
    """Whether a spec, also one that begins with `self:` or `prefilled:`, is the path of a person's own file."""
    prefix, _, rest = spec.partition(":")
    return is_own_file(rest) if prefix in (SELF, PREFILLED) and rest else _is_path(split_columns(spec)[0])


@cache
def measured_prompts() -> frozenset[str]:
    """The ids of the bundled prompts that runs are measured on. No training may see them."""
    kinds: tuple[tuple[str, PairKind], ...] = (
        ("bundled", "harmful"), ("bundled", "normal"), ("sounds_harmful", "normal"),
    )  # fmt: skip
    ids = {pair.prompt_id for spec, kind in kinds for pair in load_pairs(spec, kind).pairs}
    return frozenset(one for one in ids if side_of(one) != "train")


def split_columns(spec: str) -> tuple[str, str]:
    """What stands before and after the `#` of a spec that names columns. The name of a file may hold a `#`, too."""
    head, mark, columns = spec.rpartition("#")
    if not mark or ("=" not in columns and columns.lower().endswith(TABLE_SUFFIXES)):
        return spec, ""
    return head, columns


def _is_path(head: str) -> bool:
    """Whether a spec is a path alone. A colon is part of a path only in `C:\\my.csv`, or if there is such a file."""
    name, colon, _ = head.partition(":")
    if os.path.isfile(_expand_user(head)):  # unlike Path's, it takes any text
        return True  # of whatever kind; the reader says which it reads
    looks_like_file = head.lower().endswith(TABLE_SUFFIXES) or Path(head).suffix or head.startswith(("/", "~", "."))
    return bool(looks_like_file) and (not colon or len(name) == 1)


def _expand_user(text: str) -> Path:
    return Path(os.path.expanduser(text))  # Path.expanduser raises for an unknown ~name; this leaves it alone


def _suggest_names(name: str) -> str:
    close = difflib.get_close_matches(name, [*SOURCES, SELF, PREFILLED], cutoff=0.5)
    meant = f"did you mean {' or '.join(close)}? " if close else ""
    return (
        f"{meant}known are {', '.join(SOURCES)}, {SELF}, {PREFILLED} and paths that end in {', '.join(TABLE_SUFFIXES)}"
    )
