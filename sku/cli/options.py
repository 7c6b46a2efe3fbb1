"""Options and printing that several commands share. Heavy imports wait until a command needs them."""

from __future__ import annotations

import io
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from sku.core.text_lines import decode_text, require_text

Variants = Annotated[
    list[str],
    typer.Option(
        "--variant",
        "-v",
        help="A variant: NAME, NAME@COEFFICIENT, a sum such as ga@0.5+sku@1, or server:NAME for a model "
        "behind a server of SKU_SERVERS. NAME is base, a shipped adapter, a "
        "run, the path of a run folder or of a PEFT folder, or the hub id of a PEFT adapter. Without a coefficient, "
        "the adapter's default is used. A PEFT adapter is added to the base; PATH@-1 subtracts it. Repeatable.",
    ),
]
Negated = Annotated[
    bool,
    typer.Option("--negated", help="Subtract every PEFT folder or hub id among the variants instead of adding it."),
]
Model = Annotated[str, typer.Option(help="The base model: smollm2-135m, a hub id (owner/name), or a folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")]
Temperature = Annotated[float, typer.Option(help="Temperature of the sampling. 0 decodes greedily, without sampling.")]
MaxNewTokens = Annotated[int, typer.Option(help="The most new tokens per answer.")]


def with_signs(variants: list[str], negated: bool) -> list[str]:
    """The variants; with `negated`, every adapter that was not trained here is subtracted.

    Raises:
        ValueError: if `negated` is set and there is no such adapter.
    """
    if not negated:
        return variants
    from sku.core.runs import is_foreign
    from sku.core.variants import parse_variant, subtract_foreign

    with_foreign = {text for text in variants if any(map(is_foreign, parse_variant(text).names))}
    if not with_foreign:
        raise ValueError(
            f"--negated subtracts PEFT folders and hub ids, but {', '.join(variants)} has none; leave it out (the "
            "method decides the sign of a run)"
        )
    return [subtract_foreign(text, is_foreign) if text in with_foreign else text for text in variants]


@contextmanager
def as_file(name: str) -> Iterator[Path]:
    """The path of the file argument `name`. For `-`, it is a temporary file with the standard input."""
    if name != "-":
        yield Path(name)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "standard-input.jsonl"
        path.write_bytes(sys.stdin.buffer.read())
        yield path


def read_prompt(argument: str) -> str:
    """The prompt given as an argument. For `-`, it is the standard input.

    Raises:
        ValueError: if it is not text; the message names the line and the character.
    """
    if argument == "-":
        return decode_text(sys.stdin.buffer.read(), "standard input").rstrip("\r\n")  # echo ends it with a line end
    return require_text(argument, "the prompt")


def write_utf8() -> None:
    """Make standard output and standard error UTF-8, whatever the terminal or a redirect on Windows says.

    What UTF-8 cannot hold, such as half a character in the name of a file, is written as an escape like `\\udce9`.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def print_json(rows: list[dict[str, Any]]) -> None:
    """Print one JSON object per line."""
    for row in rows:
        print(json.dumps(row, ensure_ascii=False), flush=True)


JudgeName = Annotated[
    str,
    typer.Option(
        "--judge",
        help="The judge: embedded, keyword, hub:NAME (a short name or a hub id), or hub:NAME=FOLDER to load its "
        "weights from a folder.",
    ),
]


def stop_at_signals() -> Callable[[], bool]:
    """Let Ctrl-C or a termination signal stop the work at a point from which it can continue.

    A second signal ends the process at once.

    Returns:
        A function that returns True once a signal came. The work calls it between its steps.
    """
    signals: list[int] = []

    def stop(number: int, _frame: object) -> None:
        if signals:
            sys.exit(130)
        signals.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    return lambda: bool(signals)
