"""Read text that people bring: UTF-8, or UTF-16 with a byte-order mark as Windows PowerShell redirects it.

A character that cannot be read is named with its line and its place in the line. Files are read line by line; they may
be xz-compressed, and no line may be longer than `MAX_LINE_CHARACTERS`.
"""

from __future__ import annotations

import codecs
import io
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal, cast

MAX_LINE_CHARACTERS = 1 << 20
"""The longest line that is read. It holds a prompt with its answers a hundred times over, but not a model file that was
opened by mistake."""
BYTE_ORDER_MARK = "\ufeff"
INVISIBLE = f"{BYTE_ORDER_MARK}\u200b"
"""Characters without width, which no one sees at the ends of a text."""
_GIT_LFS_START = b"version https://git-lfs"
"""How a file begins that stands for another one, which git-lfs did not fetch."""
_UTF_32_MARKS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SAVE = "save it as UTF-8 (in Excel: CSV UTF-8)"
Encoding = Literal["utf-8", "utf-16"]


def open_bytes(path: Path) -> BinaryIO:
    """Open `path` to read bytes, decompressed if its name ends in .xz.

    Raises:
        FileNotFoundError: if `path` does not exist.
        ValueError: if `path` is a folder or a device.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no file {str(path)!r}; check the path")
    if path.is_dir():
        raise ValueError(f"{str(path)!r} is a folder; give the path of a data file in it")
    if not path.is_file():
        raise ValueError(f"{str(path)!r} is not a file; give the path of a data file")
    return cast(BinaryIO, lzma.open(path)) if path.suffix.lower() == ".xz" else path.open("rb")


def require_fetched(path: Path) -> None:
    """Check that a file is not the pointer that git-lfs leaves where it did not fetch the file.

    Raises:
        ValueError: if it is.
    """
    with path.open("rb") as file:
        if file.read(len(_GIT_LFS_START)) == _GIT_LFS_START:
            raise ValueError(f"{path} is a git-lfs pointer and not the file itself; fetch it with: git lfs pull")


def decode_text(data: bytes, place: str) -> str:
    """Decode UTF-8, or UTF-16 with a byte-order mark. The mark is dropped.

    Args:
        data: the bytes.
        place: where the bytes come from, for the error message.

    Raises:
        ValueError: if the bytes are neither; the message names the line and the character.
    """
    encoding = _encoding_of(data[:4], place)
    try:
        text = data.decode(encoding, _error_handler(encoding)).removeprefix(BYTE_ORDER_MARK)
    except UnicodeDecodeError:
        raise ValueError(_cut_off(place)) from None
    if not _is_clean(text):
        for number, line in enumerate(text.split("\n"), 1):
            _require_characters(line, f"{place}, line {number}", encoding)
    return text


def require_text(text: str, what: str) -> str:
    """Return `text` if every part of it is a character that UTF-8 can hold, and none is NUL.

    Raises:
        ValueError: for text from another encoding, as a terminal or a JSON escape such as `\\ud83d` may bring it.
    """
    if not _is_clean(text):
        _require_characters(text, what, "utf-8")
    return text


def read_lines(path: Path, called: str, complete_only: bool = False, any_line_end: bool = False) -> Iterator[str]:
    """Read every line of `path` with its line end. U+2028 and the like do not end a line.

    Args:
        path: the file. Byte-order marks at the beginning of its lines are dropped.
        called: the text before the line number in error messages, such as `rows.jsonl, line`.
        complete_only: for files that this project writes: leave out a last line that has no line end, even if it is
            not UTF-8, and read lines of any length.
        any_line_end: whether a carriage return ends a line too, as in files of old Macs; else only a line feed does.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a line that is too long or cannot be decoded, and for a damaged .xz file; the message has the
            line number.
    """
    number, limit = 1, None if complete_only else MAX_LINE_CHARACTERS
    with open_bytes(path) as stream:
        encoding = _encoding_of(_first_bytes(stream, f"{called} 1"), f"{called} 1")
        text = io.TextIOWrapper(
            stream, encoding, _error_handler(encoding), newline="" if any_line_end else "\n"
        )  # bytes that are not UTF-8 become surrogates, so that the line and the place in it are known
        while line := _next_line(text, f"{called} {number}", limit):
            if complete_only and not line.endswith("\n"):
                return
            if not _is_clean(line):
                _require_characters(line.removeprefix(BYTE_ORDER_MARK), f"{called} {number}", encoding)
            yield line.lstrip(BYTE_ORDER_MARK)  # joined files have a mark in the middle, too
            number += 1


def _first_bytes(stream: BinaryIO, place: str) -> bytes:
    try:
        return cast(io.BufferedReader, stream).peek(4)[:4]
    except (lzma.LZMAError, EOFError) as error:
        raise ValueError(f"{place}: the .xz file is damaged ({error}); download it again") from None


def _next_line(stream: io.TextIOWrapper, place: str, limit: int | None) -> str:
    try:
        line = stream.readline(-1 if limit is None else limit + 1)
    except (lzma.LZMAError, EOFError) as error:
        raise ValueError(f"{place}: the .xz file is damaged ({error}); download it again") from None
    except UnicodeDecodeError:
        raise ValueError(_cut_off(place)) from None
    if limit is not None and len(line) > limit:
        raise ValueError(f"{place} is longer than {limit >> 20} MiB; write one row per line")
    return line


def _encoding_of(head: bytes, place: str) -> Encoding:
    if head.startswith(_UTF_32_MARKS):
        raise ValueError(f"{place}: the file is UTF-32, which is not read; {_SAVE}")
    return "utf-16" if head.startswith(_UTF_16_MARKS) else "utf-8"


def _error_handler(encoding: Encoding) -> str:
    return "surrogateescape" if encoding == "utf-8" else "surrogatepass"


def _is_clean(text: str) -> bool:
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _require_characters(text: str, place: str, encoding: Encoding) -> None:
    """Raise an error for the first part of `text` that is no character of a text."""
    for i, character in enumerate(text, 1):
        if character == "\0":
            raise ValueError(
                f"{place}, character {i}: there is a NUL, which no text has; the file is damaged, binary, or UTF-16 "
                f"without a byte-order mark; {_SAVE}"
            )
        if encoding == "utf-8" and "\udc80" <= character <= "\udcff":
            raise ValueError(f"{place}, character {i}: byte 0x{ord(character) - 0xDC00:02x} is not UTF-8; {_SAVE}")
        if "\ud800" <= character <= "\udfff":
            raise ValueError(f"{place}, character {i}: half a surrogate pair is no character; write the whole one")


def _cut_off(place: str) -> str:
    return f"{place}: the text ends in the middle of a character; get the whole file again"
