"""Read a text file line by line: UTF-8, optionally xz-compressed, no line longer than `MAX_LINE_BYTES`."""

from __future__ import annotations

import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

MAX_LINE_BYTES = 1 << 20
"""The longest line that is read. A prompt with its answers fits a hundred times; a model file opened by mistake does
not."""
BYTE_ORDER_MARK = "\ufeff"


def open_bytes(path: Path) -> BinaryIO:
    """`path` opened for reading bytes, decompressed if its name ends in .xz.

    Raises:
        FileNotFoundError: if there is nothing at `path`.
        ValueError: if it is a folder or a device.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no file {str(path)!r}; check the path")
    if not path.is_file():
        raise ValueError(f"{str(path)!r} is not a file; give the path of a data file")
    return cast(BinaryIO, lzma.open(path)) if path.suffix.lower() == ".xz" else path.open("rb")


def decode_utf8(data: bytes, place: str) -> str:
    """`data` decoded as UTF-8.

    Args:
        data: the bytes.
        place: where they stand, for the error.

    Raises:
        ValueError: if they are not UTF-8, with the first wrong byte.
    """
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        bad = data[error.start]
        raise ValueError(
            f"{place}: byte {error.start + 1} (0x{bad:02x}) is not UTF-8; save the file as UTF-8"
        ) from None


def read_lines(path: Path, called: str, complete_only: bool = False) -> Iterator[str]:
    """Every line of `path` with its line end. Only a line feed ends a line: U+2028 and the like may stand in one.

    Args:
        path: a byte-order mark at its beginning is dropped.
        called: what errors put before the line's number, such as `rows.jsonl, line`.
        complete_only: for files that this project writes: leave out a last line that has no line end, whatever its
            bytes are, and read lines of any length.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a line that is too long, or not UTF-8, and for a damaged .xz file; with the line's number.
    """
    number, limit = 1, None if complete_only else MAX_LINE_BYTES
    with open_bytes(path) as stream:
        while line := _next_line(stream, f"{called} {number}", limit):
            if complete_only and not line.endswith(b"\n"):
                return
            text = decode_utf8(line, f"{called} {number}")
            yield text.removeprefix(BYTE_ORDER_MARK) if number == 1 else text
            number += 1


def _next_line(stream: BinaryIO, place: str, limit: int | None) -> bytes:
    try:
        line = stream.readline(-1 if limit is None else limit + 1)
    except (lzma.LZMAError, EOFError) as error:
        raise ValueError(f"{place}: the .xz file is damaged ({error}); fetch it again") from None
    if limit is not None and len(line) > limit:
        raise ValueError(f"{place} is longer than {limit >> 20} MiB; write one row a line")
    return line
