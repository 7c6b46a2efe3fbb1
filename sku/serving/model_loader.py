"""The weights behind a session: loaded once, adapters when a variant first needs them, and one thread that computes.

Any thread may ask; once they are started in the background, as for a page, one thread computes for all
(`worker_thread.py`). Knows nothing of prompts and answers.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from sku.core import runs
from sku.core.variants import KnownAdapter, Variant, resolve_variant
from sku.models.pretrained import DEFAULT_BASE, dtype_of, provision_base
from sku.serving.worker_thread import WorkerThread

_P = ParamSpec("_P")
_T = TypeVar("_T")
_S = TypeVar("_S", bound="ModelLoader")


def on_worker_thread(method: Callable[Concatenate[_S, _P], _T]) -> Callable[Concatenate[_S, _P], _T]:
    """Run by the thread that computes, where there is one."""

    @wraps(method)
    def called(self: _S, /, *args: _P.args, **named: _P.kwargs) -> _T:
        return self._thread.run(lambda: method(self, *args, **named)) if self._thread else method(self, *args, **named)

    return called


class ModelLoader:
    """A base and the adapters that were asked for, on this machine."""

    def __init__(self, model: str = DEFAULT_BASE) -> None:
        self.model_name = model
        self.place: str | None = None
        """The device of the weights; None: the accelerator if there is one."""
        self.doing = "not started"
        """What loading does just now; empty once it is done."""
        self.error: str | None = None
        """Why loading failed."""
        self._model: Any = None
        self._lock = threading.Lock()
        self._thread: WorkerThread | None = None

    def start(self) -> None:
        """Load in the background, so that a page can show at once; from now on one thread computes for all."""
        self._thread = WorkerThread()
        threading.Thread(target=self._try_to_load, daemon=True).start()

    @property
    def ready(self) -> bool:
        """Whether questions are answered without waiting for the weights."""
        return self._model is not None

    @on_worker_thread
    def load(self) -> Any:
        """The `VariantModel`, loaded by the first caller; others wait.

        Raises:
            OSError: if the weights can't be had.
        """
        with self._lock:
            if self._model is None:
                self.doing, self.error = "loading the libraries", None
                from sku.models import variant_model

                folder = provision_base(self.model_name, self._say)
                self._model = variant_model.load_variant_model(folder, dtype_of(self.model_name), self.place)
                self.doing = ""
            return self._model

    @on_worker_thread
    def variant(self, text: str) -> Variant:
        """The variant that `text` names, its adapter loaded.

        Raises:
            ValueError: if it is not known, or was trained on another base.
        """
        return resolve_variant(text, self._known)

    def hold_at_forks(self) -> None:
        """From now on a fork of this process waits for forwards and loading to end: the child finds its locks free.

        For a worker that goes on with these weights; a program that is merely started does not wait.
        """
        held: list[Any] = []

        def take() -> None:
            self._lock.acquire()
            held.append(self._model.hold() if self._model is not None else None)

        def free() -> None:
            if (freed := held.pop()) is not None:
                freed()
            self._lock.release()

        def free_in_child() -> None:
            self._thread = None  # it stayed behind
            free()

        os.register_at_fork(before=take, after_in_parent=free, after_in_child=free_in_child)

    def _known(self, name: str) -> KnownAdapter:
        """What is known of the run `name`, its adapter loaded."""
        known, model = runs.find_run(name).known, self.load()
        with self._lock:
            if known.adapter not in model.adapters:
                model.add(known.adapter, runs.find_run(name).adapter)
        return known

    def _steps(self, source: Callable[[], Iterator[_T]]) -> Iterator[_T]:
        return self._thread.stream(source) if self._thread else source()

    def _try_to_load(self) -> None:
        try:
            self.load()
        except Exception as error:  # a background thread has no caller; the page shows it
            self.error = str(error)

    def _say(self, doing: str) -> None:
        self.doing = doing
