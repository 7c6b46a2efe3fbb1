"""An error is one line that a person can act on, also when the system raised it."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from sku.core.errors import MAX_LINE_CHARACTERS, error_line, shorten_line


def test_an_error_of_the_system_says_what_to_do_and_not_its_number(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="directory") as caught:
        tmp_path.write_text("x")
    assert error_line(caught.value) == f"{tmp_path}: it is a folder; name a file"
    full = OSError(errno.ENOSPC, "No space left on device")
    assert error_line(full).startswith("the disk is full; free some space, or set SKU_HOME or TMPDIR to")


def test_another_error_is_its_own_words_on_one_line() -> None:
    assert error_line(ValueError("one\n  two")) == "one two"
    assert error_line(RuntimeError()) == "RuntimeError"


def test_a_file_that_may_not_grow_is_told_what_to_do() -> None:
    assert error_line(OSError(errno.EFBIG, "File too large")).startswith("a file may not grow any larger here; raise")


def test_a_message_that_says_back_a_very_long_name_keeps_its_beginning_and_its_advice() -> None:
    line = error_line(ValueError(f"variant {'x' * 70_000} is not known; choose one of base, sku"))
    assert len(line) <= MAX_LINE_CHARACTERS
    assert line.startswith("variant xxx")
    assert line.endswith("is not known; choose one of base, sku")
    assert shorten_line("x" * MAX_LINE_CHARACTERS) == "x" * MAX_LINE_CHARACTERS
