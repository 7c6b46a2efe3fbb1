"""A GGUF file whose header promises more than the file has is refused at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from gguf import GGUFReader

from sku.models.gguf_header import check_gguf_header
from tests.conftest import build_network
from tests.training.pico_gguf import write_pico_gguf


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pico_gguf(build_network(), tmp_path_factory.mktemp("gguf") / "whole.gguf")


def changed(whole: Path, place: int, number: int, size: int) -> Path:
    content = whole.read_bytes()
    file = whole.with_name("changed.gguf")
    file.write_bytes(content[:place] + number.to_bytes(size, "little") + content[place + size :])
    return file


def test_a_whole_file_passes(whole: Path) -> None:
    check_gguf_header(whole)


def test_wrong_counts_lengths_and_types_are_refused(whole: Path) -> None:
    reader = GGUFReader(whole)
    tokens = reader.fields["tokenizer.ggml.tokens"]
    kind = tokens.offset + 8 + len(tokens.name)  # of the value, then that of the items, then their number
    first = reader.tensors[0].field
    dimensions = first.offset + 8 + len(first.name)
    for place, number, size, said in (
        (8, 2**60, 8, "more data than the file"),  # tensors
        (16, 2**60, 8, "more data than the file"),  # fields
        (tokens.offset, 2**40, 8, "more data than the file"),  # length of a name
        (kind + 8, 2**60, 8, "more data than the file"),  # strings in a list
        (kind, 77, 4, "type 77"),
        (dimensions, 2**20, 4, "1048576 dimensions"),
    ):
        with pytest.raises(ValueError, match=said):
            check_gguf_header(changed(whole, place, number, size))


def test_a_list_of_bytes_without_end_is_refused_at_once(whole: Path) -> None:
    """`GGUFReader` reads such a list item by item, beyond the end of the file, and never comes back."""
    types = GGUFReader(whole).fields["tokenizer.ggml.token_type"]
    place = types.offset + 8 + len(types.name) + 4
    file = changed(changed(whole, place, 0, 4), place + 4, 2**60, 8)
    with pytest.raises(ValueError, match="more data than the file"):
        check_gguf_header(file)
