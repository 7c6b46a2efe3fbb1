"""On a ZeroGPU Space: comparisons are written on a GPU that is lent for seconds; when it is refused, here on the CPU.

`spaces` forks a worker for a call, gives it the GPU, and may keep it for the next call. So a call names variants by
their text, never by what this process has loaded; and locks are free at the fork. Everything but writing answers
(judging, the lens, trainings) stays on the CPU. Where `spaces` is missing or nothing is lent, this module is not used.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sku.core.config import DecodingConfig
from sku.serving.live_session import LiveSession
from sku.serving.streaming import ColumnState

_OVERHEAD, _A_TOKEN = 10.0, 0.1
"""Seconds a call may take: starting the worker, and every new token. Shorter calls come sooner to their turn."""
GPU_DEVICE = "cuda"
_lending: LiveSession | None = None
"""What a worker finds after the fork."""


def zerogpu_offered(environ: Any = os.environ) -> bool:
    """Whether this Space lends a GPU by the call."""
    return environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def gpu_seconds(prompt: str, variants: Sequence[str], config: DecodingConfig) -> int:
    """For how long the GPU is asked for."""
    return round(_OVERHEAD + _A_TOKEN * config.max_new_tokens)


def answer_on_gpu(prompt: str, variants: Sequence[str], config: DecodingConfig) -> Iterator[list[ColumnState]]:
    """In the worker: what `LiveSession.ask` yields, from the lent GPU."""
    if _lending is None:
        raise RuntimeError("nothing is lent: make a ZeroGpuSession first")
    _lending.load().to(GPU_DEVICE)
    yield from _lending.ask(prompt, variants, config)


class ZeroGpuSession:
    """A live session that writes answers on the lent GPU, and otherwise is the session it was given."""

    def __init__(self, live: LiveSession, gpu: Callable[..., Any] | None = None) -> None:
        """`gpu` is `spaces.GPU`; a live session of which one is made stays on the CPU in this process."""
        global _lending
        if gpu is None:
            import spaces  # of the Space; not in requirements.txt

            gpu = spaces.GPU
        _lending = self._live = live
        live.place = "cpu"
        live.hold_at_forks()
        self._write = gpu(duration=gpu_seconds)(answer_on_gpu)
        self.why = ""
        """Why the last comparison was written on the CPU; empty if it was not."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._live, name)

    def ask(
        self,
        prompt: str,
        variants: Sequence[str],
        config: DecodingConfig,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[list[ColumnState]]:
        """As `LiveSession.ask`; on the CPU if no GPU is to be had before the first answer shows."""
        begun = False
        writing = self._write(prompt, list(variants), config)
        try:
            for columns in writing:
                begun, self.why = True, ""
                if cancelled():
                    yield [dataclasses.replace(column, writing=False) for column in columns]
                    return
                yield columns
            return
        except Exception as error:  # quota spent, none free, the worker died: spaces raises gradio's error for all
            if begun:
                raise OSError(f"the lent GPU was taken away while writing ({error}); ask again") from error
            self.why = str(error)
        finally:
            writing.close()  # tells the worker to stop
        yield from self._live.ask(prompt, variants, config, cancelled)
