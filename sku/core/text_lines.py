"""The lines of a text file, decoded one by one and never longer than `LINE_LIMIT`. Knows no columns."""

from __future__ import annotations

import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

MAX_LINE_BYTES = 1 << 20
"""Bytes of one line: a prompt and its answers fit a hundred times, a model file by mistake does not."""
BYTE_ORDER_MARK = "\ufeff"


def open_bytes(path: Path) -> BinaryIO:
    """`path` open for reading bytes, unpacked if it ends in .xz.

    Raises:
        FileNotFoundError: if nothing is there.
        ValueError: if it is a folder or a device.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no file {str(path)!r}; check the path")
    if not path.is_file():
        raise ValueError(f"{str(path)!r} is not a file; give the path of a data file")
    return cast(BinaryIO, lzma.open(path)) if path.suffix.lower() == ".xz" else path.open("rb")


def decode_utf8(data: bytes, place: str) -> str:
    """`data` as UTF-8; `place` names it in the error.

    Raises:
        ValueError: with the first byte that is not UTF-8.
    """
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        bad = data[error.start]
        raise ValueError(
            f"{place}: byte {error.start + 1} (0x{bad:02x}) is not UTF-8; save the file as UTF-8"
        ) from None


def read_lines(path: Path) -> Iterator[str]:
    """Every line of `path` with its line end, without the file's byte-order mark.

    Raises:
        ValueError: for a line that is too long or not UTF-8, or a damaged .xz file; with its number.
    """
    number = 1
    with open_bytes(path) as stream:
        while line := _next(stream, f"{path.name}, row {number}"):
            text = decode_utf8(line, f"{path.name}, row {number}")
            yield text.removeprefix(BYTE_ORDER_MARK) if number == 1 else text
            number += 1


def _next(stream: BinaryIO, place: str) -> bytes:
    try:
        line = stream.readline(MAX_LINE_BYTES + 1)
    except (lzma.LZMAError, EOFError) as error:
        raise ValueError(f"{place}: the .xz file is damaged ({error}); fetch it again") from None
    if len(line) > MAX_LINE_BYTES:
        raise ValueError(f"{place} is longer than {MAX_LINE_BYTES >> 20} MiB; one row a line is wanted")
    return line
