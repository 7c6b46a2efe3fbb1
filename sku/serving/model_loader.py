"""Holds a base model and its adapters: the base is loaded once, an adapter when a variant first needs it.

Any thread may call. After `start`, which a page uses, one thread computes for all of them (`worker_thread.py`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from sku.core import runs
from sku.core.quick_imports import quick_imports
from sku.core.runs import Run
from sku.core.variants import KnownAdapter, Variant, resolve_variant
from sku.models.arithmetic import COMMAND_DEFAULT, Arithmetic, chosen_arithmetic
from sku.models.pretrained import DEFAULT_BASE, check_base_name, dtype_of, provision_base, same_base
from sku.serving import processes
from sku.serving.thread_chooser import ThreadChooser, base_seconds_per_token
from sku.serving.worker_thread import WorkerThread

if TYPE_CHECKING:
    from sku.models.running_batch import RunningBatch
    from sku.models.variant_model import VariantModel

_P = ParamSpec("_P")
_T = TypeVar("_T")
_S = TypeVar("_S", bound="ModelLoader")


def on_worker_thread(method: Callable[Concatenate[_S, _P], _T]) -> Callable[Concatenate[_S, _P], _T]:
    """Run the method on the worker thread if there is one, else on the caller's."""
    return _on_worker_thread(method, short=False)


def next_on_worker_thread(method: Callable[Concatenate[_S, _P], _T]) -> Callable[Concatenate[_S, _P], _T]:
    """As `on_worker_thread`, before all that waits there: for short work that must be done before an answer begins."""
    return _on_worker_thread(method, short=True)


def _on_worker_thread(method: Callable[Concatenate[_S, _P], _T], short: bool) -> Callable[Concatenate[_S, _P], _T]:
    @wraps(method)
    def called(self: _S, /, *args: _P.args, **named: _P.kwargs) -> _T:
        if self._thread is None:
            return method(self, *args, **named)
        return self._thread.run(lambda: method(self, *args, **named), short)

    return called


class ModelLoader:
    """A base and the adapters that were asked for."""

    def __init__(self, model: str = DEFAULT_BASE, arithmetic: Arithmetic = COMMAND_DEFAULT) -> None:
        self.model_name = model
        self._wanted_arithmetic = arithmetic
        self.device: str | None = None
        """Where the weights go; None: to the accelerator if there is one."""
        self.progress = "not started"
        """What loading does now; empty once it is done."""
        self.error: str | None = None
        """Why the newest try to load failed. It stays until the base is loaded."""
        self.shares_batch = True
        """After `start`: whether the questions of several callers decode together. False is for measurements."""
        self._model: VariantModel | None = None
        self._lock = threading.Lock()
        self._thread: WorkerThread | None = None
        self._chooser: ThreadChooser | None = None
        self._batch: RunningBatch | None = None

    def start(self) -> None:
        """Load in the background, so that a page can show at once; from now on one thread computes for all."""
        self._thread = WorkerThread()
        threading.Thread(target=self._try_to_load, daemon=True).start()

    @property
    def ready(self) -> bool:
        """Whether the base is loaded."""
        return self._model is not None

    @property
    def arithmetic(self) -> Arithmetic:
        """In which arithmetic the loaded model computes decoding steps; fp32 until it is loaded."""
        few_bits = self._model.few_bits if self._model is not None else None
        return few_bits.form if few_bits else "fp32"

    def load(self) -> VariantModel:
        """The model; the first caller loads it, others wait. After a failure the next caller tries again.

        Raises:
            OSError: if the weights cannot be had.
            ValueError: if they cannot be loaded.
        """
        return self._model if self._model is not None else self._load_once()

    @next_on_worker_thread
    def _load_once(self) -> VariantModel:
        with self._lock:
            if self._model is None:
                try:
                    self._model = self._loaded()
                    self.error = None
                    self._chooser = self._thread_chooser(self._model)
                except Exception as error:
                    self.error = str(error) or type(error).__name__
                    raise
                finally:
                    self.progress = ""
            return self._model

    def _loaded(self) -> VariantModel:
        folder = provision_base(self.model_name, self._report_progress)
        arithmetic = chosen_arithmetic(self._wanted_arithmetic)
        self.progress = "loading the libraries"
        with quick_imports():  # loading imports the module of the architecture, and that half of transformers
            from sku.models import variant_model

            return variant_model.load_variant_model(folder, dtype_of(self.model_name), self.device, arithmetic)

    def fits(self, run: Run) -> bool:
        """Whether a run was trained on this base. Until the base is loaded, the names of the two decide."""
        if self._model is not None:
            return run.manifest.base_fingerprint in ("", self._model.fingerprint)
        return same_base(run.manifest.base, self.model_name)

    @next_on_worker_thread
    def variant(self, text: str) -> Variant:
        """The variant that `text` names, its adapter loaded.

        Raises:
            ValueError: if it is not known, or was trained on another base.
        """
        return resolve_variant(text, self._known)

    @next_on_worker_thread
    def variants(self, texts: Iterable[str]) -> list[Variant]:
        """The variants that `texts` name, their adapters loaded; the base is checked once for all of them.

        Raises:
            ValueError: as `variant`.
        """
        with self.load().checked_once():
            return [self.variant(text) for text in texts]

    def shared_batch(self) -> RunningBatch | None:
        """The batch in which all callers decode together; None without a worker thread: each decodes alone.

        May be called, and used, on the worker thread only.
        """
        if not (self._thread and self.shares_batch):
            return None
        if self._batch is None:
            model = self.load()
            from sku.models.running_batch import RunningBatch

            self._batch = RunningBatch(model)
        return self._batch

    def lock_at_forks(self) -> None:
        """From now on a fork of this process waits until no forward and no loading is under way.

        A forked worker that goes on with these weights then finds every lock free. Starting another program does not
        wait.
        """
        held: list[Callable[[], None] | None] = []

        def take() -> None:
            self._lock.acquire()
            held.append(self._model.hold() if self._model is not None else None)

        def free() -> None:
            if (release := held.pop()) is not None:
                release()
            self._lock.release()

        def free_in_child() -> None:
            self._thread = self._batch = None  # threads do not survive a fork
            free()

        os.register_at_fork(before=take, after_in_parent=free, after_in_child=free_in_child)

    def _known(self, name: str) -> KnownAdapter:
        """What is known of the adapter of run `name`, which is loaded if it was not."""
        run, model = runs.find_run(name), self.load()
        if run.foreign:
            check_base_name(run, self.model_name)
        with self._lock:
            if run.known.adapter not in model.adapters:
                model.add(run.known.adapter, run.adapter)
        return run.known

    def _thread_chooser(self, model: VariantModel) -> ThreadChooser | None:
        """What chooses the number of threads for a page on a CPU; None for a command, which has the machine."""
        if self._thread is None or model.device.type != "cpu":
            return None
        self.progress = "measuring how many threads are fastest"
        return ThreadChooser(lambda: base_seconds_per_token(model), processes.any_job_runs)

    def _steps(self, source: Callable[[], Iterator[_T]]) -> Iterator[_T]:
        """What `source` yields, computed on the worker thread if there is one."""
        return self._thread.stream(lambda: self._prepared(source)) if self._thread else source()

    def _prepared(self, source: Callable[[], Iterator[_T]]) -> Iterator[_T]:
        if self._chooser:
            self._chooser.before_question()
        yield from source()

    def _try_to_load(self) -> None:
        with suppress(Exception):  # a background thread has no caller; the page shows `error`
            self.load()

    def _report_progress(self, line: str) -> None:
        self.progress = line
