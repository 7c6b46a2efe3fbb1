"""An error is one line that a person can act on, also when the system raised it."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from sku.core.errors import error_line


def test_an_error_of_the_system_says_what_to_do_and_not_its_number(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="directory") as caught:
        tmp_path.write_text("x")
    assert error_line(caught.value) == f"{tmp_path}: it is a folder; name a file"
    full = OSError(errno.ENOSPC, "No space left on device")
    assert error_line(full).startswith("the disk is full; free some space, or set SKU_HOME or TMPDIR to")


def test_another_error_is_its_own_words_on_one_line() -> None:
    assert error_line(ValueError("one\n  two")) == "one two"
    assert error_line(RuntimeError()) == "RuntimeError"
