"""Where pairs come from: one source a file, all read through `load`. Knows no model and no tokenizer.

A spec is one of
- `bundled` or `sounds_harmful`, which come with the project, or `saferlhf` or `truthfulqa` from the hub;
- `saferlhf:PATH`, `truthfulqa:PATH`, `advbench:PATH`, `labelled:PATH`, `xstest:PATH` or `do_not_answer:PATH`, from a
  local file;
- the path of a JSONL, CSV or JSON file alone, with its columns after a `#` where they are not called prompt, answer,
  safe_answer and category: `my.csv#prompt=question,answer=reply`.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from sku.core.errors import Unavailable
from sku.core.records import PairKind
from sku.data import advbench, bundled, custom, do_not_answer, labelled, saferlhf, sounds_harmful, truthfulqa, xstest
from sku.data.dataset import SELF, DataSet
from sku.data.table import TABLE_SUFFIXES

__all__ = ["SELF", "SOURCES", "DataSet", "Unavailable", "load_pairs"]

SOURCES: dict[str, Callable[[Path | None, PairKind], DataSet]] = {
    "bundled": bundled.load,
    "saferlhf": saferlhf.load,
    "truthfulqa": truthfulqa.load,
    "advbench": advbench.load,
    "labelled": labelled.load,
    "xstest": xstest.load,
    "do_not_answer": do_not_answer.load,
    "sounds_harmful": sounds_harmful.load,
}


def load_pairs(spec: str, kind: PairKind) -> DataSet:
    """The pairs of one source.

    Args:
        spec: NAME, NAME:PATH or a path, as this module's docstring says.
        kind: whether its harmful or its normal pairs are wanted; a file of one's own is what you say it is.

    Raises:
        FileNotFoundError: if a path leads nowhere.
        Unavailable: if the hub is needed and cannot be reached.
        ValueError: for an unknown source, a file that is not such a table, or a source without pairs of this kind.
    """
    if kind not in get_args(PairKind):
        raise ValueError(f"kind {kind!r} is not known; choose harmful or normal")
    head, named = _parted(spec)
    name, colon, path = head.partition(":")
    if name == SELF:
        raise ValueError(f"source {spec!r} needs a model, which writes its own answers; it cannot be loaded from data")
    if name in SOURCES:
        found = _from_source(name, path if colon else None, kind, named)
    elif _is_path(head):
        found = custom.load_custom(_path(head), kind, custom.parse_columns(named))
    else:
        raise ValueError(f"data source {spec!r} is not known; {_hint(name)}")
    if not found.pairs:
        raise ValueError(
            f"{found.name} has no {kind} pair: all {found.skipped} were left out by rule; take another source"
        )
    return dataclasses.replace(found, name=f"{found.name}#{named}") if named else found


def _parted(spec: str) -> tuple[str, str]:
    """What stands before and after the `#`; a file's own name may hold one too."""
    head, mark, named = spec.rpartition("#")
    if not mark or ("=" not in named and named.lower().endswith(TABLE_SUFFIXES)):
        return spec, ""
    return head, named


def _is_path(head: str) -> bool:
    """Whether a spec is a path alone. A colon belongs to one only in `C:\\my.csv` or if the file is there."""
    name, colon, _ = head.partition(":")
    return head.lower().endswith(TABLE_SUFFIXES) and (not colon or len(name) == 1 or _path(head).is_file())


def _path(text: str) -> Path:
    return Path(os.path.expanduser(text))  # Path.expanduser raises for an unknown ~name; this leaves it alone


def _from_source(name: str, path: str | None, kind: PairKind, named: str) -> DataSet:
    if named:
        raise ValueError(f"{name} knows its columns, but {named!r} came; leave out what follows the #")
    if path is None:
        return SOURCES[name](None, kind)
    if not path:
        raise ValueError(f"'{name}:' names no file; write {name}:PATH")
    found = SOURCES[name](_path(path), kind)
    return dataclasses.replace(found, name=f"{name}:{_path(path).name}")


def _hint(name: str) -> str:
    close = difflib.get_close_matches(name, [*SOURCES, SELF], cutoff=0.5)
    meant = f"did you mean {' or '.join(close)}? " if close else ""
    return f"{meant}known are {', '.join(SOURCES)}, {SELF} and paths that end in {', '.join(TABLE_SUFFIXES)}"
