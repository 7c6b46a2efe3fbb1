"""Read a UTF-8 text file line by line. It may be xz-compressed; no line may be longer than `MAX_LINE_BYTES`."""

from __future__ import annotations

import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

MAX_LINE_BYTES = 1 << 20
"""The longest line that is read. It holds a prompt with its answers a hundred times over, but not a model file that was
opened by mistake."""
BYTE_ORDER_MARK = "\ufeff"


def open_bytes(path: Path) -> BinaryIO:
    """Open `path` to read bytes, decompressed if its name ends in .xz.

    Raises:
        FileNotFoundError: if `path` does not exist.
        ValueError: if `path` is a folder or a device.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no file {str(path)!r}; check the path")
    if not path.is_file():
        raise ValueError(f"{str(path)!r} is not a file; give the path of a data file")
    return cast(BinaryIO, lzma.open(path)) if path.suffix.lower() == ".xz" else path.open("rb")


def decode_utf8(data: bytes, place: str) -> str:
    """Decode `data` as UTF-8.

    Args:
        data: the bytes.
        place: where the bytes come from, for the error message.

    Raises:
        ValueError: if the bytes are not UTF-8; the message names the first wrong byte.
    """
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        bad = data[error.start]
        raise ValueError(
            f"{place}: byte {error.start + 1} (0x{bad:02x}) is not UTF-8; save the file as UTF-8"
        ) from None


def read_lines(path: Path, called: str, complete_only: bool = False) -> Iterator[str]:
    """Read every line of `path` with its line end. Only a line feed ends a line; U+2028 and the like do not.

    Args:
        path: the file. A byte-order mark at its beginning is dropped.
        called: the text before the line number in error messages, such as `rows.jsonl, line`.
        complete_only: for files that this project writes: leave out a last line that has no line end, even if it is
            not UTF-8, and read lines of any length.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a line that is too long or not UTF-8, and for a damaged .xz file; the message has the line
            number.
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
        raise ValueError(f"{place}: the .xz file is damaged ({error}); download it again") from None
    if limit is not None and len(line) > limit:
        raise ValueError(f"{place} is longer than {limit >> 20} MiB; write one row per line")
    return line
