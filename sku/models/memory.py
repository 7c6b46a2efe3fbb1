"""Say in one sentence that memory is short, whatever library notices it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from sku.core.errors import OutOfMemory

_PHRASES = ("not enough memory", "can't allocate memory", "cannot allocate memory", "out of memory")
"""What torch writes into a plain RuntimeError when it gets no memory on a CPU."""


@contextmanager
def memory_errors_as_sentences() -> Iterator[None]:
    """Turn every error about memory into `OutOfMemory`.

    Raises:
        OutOfMemory: if there is not enough memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        short = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not short and not any(phrase in str(error).lower() for phrase in _PHRASES):
            raise
        raise OutOfMemory(
            "there is not enough memory for this; close other programs, ask fewer variants or samples, write shorter "
            "answers, lower the batch size, or use a smaller model"
        ) from error
