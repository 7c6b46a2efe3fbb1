"""Imports without the search for garbage."""

from __future__ import annotations

import gc

import pytest

from sku.core.quick_imports import quick_imports


def test_garbage_is_looked_for_again_after_imports_that_failed() -> None:
    with pytest.raises(ImportError, match="looks: False"), quick_imports():
        raise ImportError(f"looks: {gc.isenabled()}")
    assert gc.isenabled()


def test_who_looks_for_no_garbage_is_left_alone() -> None:
    gc.disable()
    try:
        with quick_imports():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
