"""Check that the header of a GGUF file fits into the file, before a library follows its counts and lengths.

`gguf.GGUFReader` trusts them: a list that claims 2^60 items keeps it busy for ever and fills the memory.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of a value by GGUF's number of its type."""
_STRING, _ARRAY = 8, 9
_MAX_DIMENSIONS = 4
_COUNTS_PLACE = 8
"""After the magic and the version."""


def check_gguf_header(path: Path) -> None:
    """Walk through the header of a GGUF file.

    Raises:
        ValueError: if the header is longer than the file, or has a type that GGUF does not know.
    """
    with path.open("rb") as file:
        header = _Header(file, path.stat().st_size)
        header.skip(_COUNTS_PLACE)
        tensors, fields = header.number(8), header.number(8)
        header.require(8 * (tensors + fields))
        for _ in range(fields):
            header.skip_string()
            header.skip_value(header.number(4))
        for _ in range(tensors):
            header.skip_string()
            dimensions = header.number(4)
            if dimensions > _MAX_DIMENSIONS:
                raise ValueError(f"a tensor has {dimensions} dimensions, and GGUF allows {_MAX_DIMENSIONS}")
            header.skip(8 * dimensions + 4 + 8)  # the sizes, the type and the place


class _Header:
    """Reads onward through a file whose size is known."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size

    def require(self, size: int) -> None:
        if size > self._left:
            raise ValueError("its header names more data than the file has")

    def skip(self, size: int) -> None:
        self.require(size)
        self._left -= size
        self._file.seek(size, 1)

    def number(self, size: int) -> int:
        self.require(size)
        self._left -= size
        return int.from_bytes(self._file.read(size), "little")

    def skip_string(self) -> None:
        self.skip(self.number(8))

    def skip_value(self, kind: int) -> None:
        if kind == _STRING:
            self.skip_string()
        elif kind == _ARRAY:
            self._skip_array()
        else:
            self.skip(_size_of(kind))

    def _skip_array(self) -> None:
        kind, items = self.number(4), self.number(8)
        if kind != _STRING:
            self.skip(items * _size_of(kind))
            return
        self.require(8 * items)
        for _ in range(items):
            self.skip_string()


def _size_of(kind: int) -> int:
    if kind not in _SIZES:
        raise ValueError(f"its header has a value of type {kind}, which is not known")
    return _SIZES[kind]
