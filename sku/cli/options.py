"""Options and printing that several commands share. Heavy imports wait until a command needs them."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

Variants = Annotated[
    list[str],
    typer.Option(
        "--variant",
        "-v",
        help="NAME or NAME@COEFFICIENT: base, a shipped adapter, a run; or a sum: ga@0.5+sku@1. Repeatable.",
    ),
]
Model = Annotated[str, typer.Option(help="Base model: smollm2-135m, a hub id (owner/name), or a folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]


@contextmanager
def as_file(name: str) -> Iterator[Path]:
    """The file argument `name`, where `-` is standard input."""
    if name != "-":
        yield Path(name)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "standard-input.jsonl"
        path.write_bytes(sys.stdin.buffer.read())
        yield path


def print_json(rows: list[dict[str, Any]]) -> None:
    """One JSON object a line."""
    for row in rows:
        print(json.dumps(row, ensure_ascii=False), flush=True)


JudgeName = Annotated[
    str, typer.Option("--judge", help="embedded, keyword, hub:NAME (or its id), or hub:NAME=FOLDER with its weights.")
]
