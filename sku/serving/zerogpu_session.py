"""A session for a ZeroGPU Space: a GPU that is assigned for seconds writes the answers; if it is refused, the CPU does.

`spaces` forks a worker for a call, gives it the GPU, and may keep it for later calls. So a call names variants by their
text, never by what this process has loaded, and no lock is held at the fork. Everything but writing answers (judging,
the token lens, trainings) stays on the CPU. Without `spaces` this module is not used.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from sku.core.attacks import WITHOUT_ATTACK, ChosenAttack
from sku.core.config import DecodingConfig
from sku.core.conversation import Conversation
from sku.serving.live_session import LiveSession
from sku.serving.passing_session import PassingSession
from sku.serving.session import Session, SessionStatus
from sku.serving.streaming import ColumnState

GPU_DEVICE = "cuda"
_SECONDS_TO_START, _SECONDS_PER_TOKEN = 10.0, 0.1
"""How long a call may take at most. Shorter calls wait less in the queue."""
GpuTask = Callable[
    [str, list[str], DecodingConfig, ChosenAttack, Sequence[Conversation]], Generator[list[ColumnState], None, None]
]
"""From prompt, variants, settings, attack and conversations to the columns as they are written."""


class GpuDecorator(Protocol):
    """`spaces.GPU`: makes a function run in a forked worker that has a GPU."""

    def __call__(
        self, *, duration: Callable[[str, list[str], DecodingConfig, ChosenAttack, Sequence[Conversation]], int]
    ) -> Callable[[GpuTask], GpuTask]:
        """`duration` says, from a call's arguments, for how many seconds the GPU is asked for."""


def zerogpu_offered(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this is a Space that assigns a GPU by the call."""
    return environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def gpu_seconds(
    prompt: str, variants: list[str], config: DecodingConfig, attack: ChosenAttack, before: Sequence[Conversation]
) -> int:
    """For how many seconds the GPU is asked for."""
    return round(_SECONDS_TO_START + _SECONDS_PER_TOKEN * config.max_new_tokens)


class ZeroGpuSession(PassingSession):
    """A live session whose comparisons are written on the assigned GPU."""

    def __init__(self, live: LiveSession, gpu: GpuDecorator | None = None) -> None:
        """From now on `live` stays on the CPU in this process.

        Args:
            live: not loaded yet, or loaded on the CPU.
            gpu: `spaces.GPU`, or what stands in for it.
        """
        if gpu is None:
            import spaces  # installed on the Space; not in requirements.txt

            gpu = spaces.GPU
        self._live = live
        self._fallback_reason = ""
        live.device = "cpu"
        live.lock_at_forks()

        def answer_on_gpu(
            prompt: str,
            variants: list[str],
            config: DecodingConfig,
            attack: ChosenAttack,
            before: Sequence[Conversation],
        ) -> Generator[list[ColumnState], None, None]:
            """Runs in the forked worker, which inherits `live` with the memory of this process."""
            live.load().to(GPU_DEVICE)
            yield from live.ask(prompt, variants, config, attack=attack, before=before)

        self._answer_on_gpu = gpu(duration=gpu_seconds)(answer_on_gpu)

    @property
    def status(self) -> SessionStatus:
        """The live session's, and why the last comparison was written on the CPU, if it was."""
        return dataclasses.replace(self._live.status, fallback_reason=self._fallback_reason)

    @property
    def answering(self) -> LiveSession:
        """The live session, on the CPU."""
        return self._live

    def ask(
        self,
        prompt: str,
        variants: Sequence[str],
        config: DecodingConfig,
        cancelled: Callable[[], bool] = lambda: False,
        attack: ChosenAttack = WITHOUT_ATTACK,
        before: Sequence[Conversation] = (),
    ) -> Iterator[list[ColumnState]]:
        """As `LiveSession.ask`; on the CPU if the GPU fails before the first answer shows.

        Under an attack on the model, the CPU answers too.

        Raises:
            OSError: if the GPU is taken away later than that.
        """
        if attack.attack.weaken:
            yield from self._live.ask(prompt, variants, config, cancelled, attack, before)
            return
        begun = False
        stream = self._answer_on_gpu(prompt, list(variants), config, attack, before)
        try:
            for columns in stream:
                begun, self._fallback_reason = True, ""
                if cancelled():
                    yield [dataclasses.replace(column, writing=False) for column in columns]
                    return
                yield columns
            return
        except Exception as error:  # no quota, no free GPU, a dead worker: spaces raises gradio's error for all
            if begun:
                raise OSError(f"the GPU was taken away while it was writing ({error}); ask again") from error
            self._fallback_reason = str(error)
        finally:
            stream.close()  # tells the worker to stop
        yield from self._live.ask(prompt, variants, config, cancelled, attack, before)


if TYPE_CHECKING:

    def _check(session: ZeroGpuSession) -> Session:
        return session
