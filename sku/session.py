"""What a screen or a command may ask for: answers of variants, and which variants there are. Knows no gradio.

The weights load once; adapters load when a variant first needs them. Any thread may ask.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sku import runs
from sku.config import DecodingConfig
from sku.methods import METHODS
from sku.provision import DEFAULT_BASE, provision
from sku.records import Answer
from sku.variants import BASE, Known, Variant, resolve

_UPDATES = 15  # a second, at most, while answers stream


@dataclass(frozen=True)
class Choice:
    """A variant that can be asked, for a list on a screen."""

    name: str
    label: str
    method: str | None
    """None for the base."""
    default_coefficient: float
    note: str


@dataclass(frozen=True)
class Column:
    """One variant's part of a comparison: an answer, or why there is none."""

    name: str
    answer: Answer | None
    error: str | None = None
    writing: bool = False
    """Whether more of the answer is to come."""


class LiveSession:
    """Answers from real weights on this machine."""

    def __init__(self, model: str = DEFAULT_BASE) -> None:
        self.model_name = model
        self.doing = "not started"
        """What loading does just now; empty once it is done."""
        self.error: str | None = None
        """Why loading failed."""
        self._model: Any = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Load in the background, so that a page can show at once."""
        threading.Thread(target=self._try_to_load, daemon=True).start()

    @property
    def ready(self) -> bool:
        """Whether questions are answered without waiting for the weights."""
        return self._model is not None

    def load(self) -> Any:
        """The `VariantModel`, loaded by the first caller; others wait.

        Raises:
            OSError: if the weights can't be had.
        """
        with self._lock:
            if self._model is None:
                self.doing, self.error = "loading the libraries", None
                from sku import model

                self._model = model.load(provision(self.model_name, self._say))
                self.doing = ""
            return self._model

    def choices(self) -> list[Choice]:
        """The base, the shipped adapters and the visitor's finished runs."""
        found = [Choice(BASE, "base", None, 0.0, "the model as it was")]
        for run in [*runs.shipped(), *runs.own()]:
            about = run.manifest
            if run.adapter.is_dir():
                label = METHODS[about.method].label + ("" if run.shipped else f" ({run.name})")
                found.append(Choice(run.name, label, about.method, about.default_coefficient, about.note or ""))
        return found

    def variant(self, text: str) -> Variant:
        """The variant that `text` names, its adapter loaded.

        Raises:
            ValueError: if it is not known, or was trained on another base.
        """
        return self._with_adapter(text)

    def answers(self, prompts: Sequence[str], variants: Sequence[str], config: DecodingConfig) -> list[Answer]:
        """All answers of all variants to all prompts, in one batch.

        Raises:
            ValueError: for an unknown variant, or a prompt that is empty or too long.
        """
        from sku import decoding

        model = self.load()
        return decoding.answer(model, _checked(prompts), [self.variant(text) for text in variants], config)

    def ask(
        self,
        prompt: str,
        variants: Sequence[str],
        config: DecodingConfig,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[list[Column]]:
        """Stream the answers of several variants to one prompt; a variant that fails leaves the others alive.

        Yields:
            One column a variant, and within it the newest state of its first sample.

        Raises:
            ValueError: for an empty or over-long prompt.
        """
        from sku import decoding

        model = self.load()
        columns: list[Variant | str] = []
        for text in variants:
            try:
                columns.append(self.variant(text))
            except (ValueError, OSError) as error:
                columns.append(str(error))
        good = [column for column in columns if isinstance(column, Variant)]
        if not good:
            yield [Column(text, None, str(column)) for text, column in zip(variants, columns, strict=True)]
            return
        began, shown = time.perf_counter(), 0.0
        for writings in decoding.stream(model, _checked([prompt]), good, config, cancelled):
            now = time.perf_counter()
            if now - shown < 1 / _UPDATES and any(writing.stopped is None for writing in writings):
                continue
            shown = now
            first = writings[:: config.samples]
            answers = decoding.records(model, first, config.seed, now - began)
            states = zip(answers, (writing.stopped is None for writing in first), strict=True)
            yield [
                _column(text, *next(states)) if isinstance(column, Variant) else Column(text, None, column)
                for text, column in zip(variants, columns, strict=True)
            ]

    def score(self, pairs: Sequence[tuple[str, str]], variants: Sequence[str], max_tokens: int) -> list[list[float]]:
        """Mean log-probability a token of given answers: a list a pair, a number a variant.

        Args:
            pairs: prompts with answers.
            variants: who judges them likely.
            max_tokens: of prompt and answer together; a longer answer is cut.

        Raises:
            ValueError: for an unknown variant, or a prompt longer than `max_tokens`.
        """
        from sku.batching import encode
        from sku.likelihood import answer_log_probs

        model = self.load()
        rows = [self.variant(text).coefficients for text in variants]
        table = []
        for prompt, answer in pairs:
            encoded = encode(model.template, prompt, answer, max_tokens)
            table.append(answer_log_probs(model, [encoded] * len(rows), rows))
        return table

    def zero_difference(self, text: str, prompt: str) -> float:
        """Largest logit difference between the base and the variant's adapter at coefficient 0, computed now.

        A third row runs the adapter at 1, so that the adapter takes part in the forward that is compared.
        """
        import torch

        model = self.load()
        known = runs.find(text).known
        self._ensure(text, known)
        ids = torch.tensor([model.template.prompt_ids(prompt)] * 2, device=model.device)
        with torch.no_grad():
            with model.rows([{}, {}]) as network:
                base = network(input_ids=ids).logits[0]
            with model.rows([{known.adapter: 0.0}, {known.adapter: 1.0}]) as network:
                zero = network(input_ids=ids).logits[0]
        return float((zero - base).abs().max())

    def _with_adapter(self, text: str) -> Variant:
        def lookup(name: str) -> Known:
            known = runs.find(name).known
            self._ensure(name, known)
            return known

        return resolve(text, lookup)

    def _ensure(self, name: str, known: Known) -> None:
        model = self.load()
        with self._lock:
            if known.adapter not in model.adapters:
                model.add(known.adapter, runs.find(name).adapter)

    def _try_to_load(self) -> None:
        try:
            self.load()
        except Exception as error:  # a background thread has no caller; the page shows it
            self.error = str(error)

    def _say(self, doing: str) -> None:
        self.doing = doing


def _column(text: str, answer: Answer, writing: bool) -> Column:
    return Column(text, answer, writing=writing)


def _checked(prompts: Sequence[str]) -> Sequence[str]:
    if any(not prompt.strip() for prompt in prompts):
        raise ValueError("the prompt is empty; write a question")
    return prompts
