"""Many visitors at once, without a browser: the questions of a page, asked of its session by one thread a visitor.

Every visitor asks a prompt of their own again and again, and does what the page does after an answer: it has the texts
judged and the KL measured. Texts are compared with those that the prompt got when nobody else was asking.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sku.core.config import DecodingConfig
from sku.serving.live_session import LiveSession
from sku.serving.streaming import ColumnState

VARIANTS = ("base", "ga@1", "sku@1.5")
_SUBJECTS = [
    *("bread", "rain", "bicycles", "tea", "maps", "clouds", "violins", "snow", "bridges", "bees"),
    *("paper", "tides", "chess", "gardens", "clocks", "lamps", "wool", "rivers", "stars", "kites"),
]


@dataclass(frozen=True)
class VisitorLoad:
    """Who asks, and for how long."""

    visitors: int = 20
    seconds: float = 120.0
    tokens: int = 24
    """New tokens in each column."""
    variants: tuple[str, ...] = VARIANTS


@dataclass
class VisitorFigures:
    """What the visitors saw."""

    answered: int = 0
    """Questions whose answers were written, judged and measured within the time."""
    first_words: list[float] = field(default_factory=list)
    """Seconds from a question to the first word of an answer, waiting included; who still waits at the end counts with
    the seconds until then."""
    mixed_up: int = 0
    """Answers that are the text of another visitor's prompt."""
    other_text: int = 0
    """Answers that differ from the prompt's text without company: products of more rows round differently."""


def prompts_of(visitors: int) -> list[str]:
    """A prompt for each visitor."""
    return [f"Tell me one thing about {_SUBJECTS[i % len(_SUBJECTS)]} number {i}." for i in range(visitors)]


def texts_alone(session: LiveSession, load: VisitorLoad) -> list[list[str]]:
    """The texts that each visitor's prompt gets when nobody else asks."""
    config = DecodingConfig(max_new_tokens=load.tokens)
    return [
        [answer.text for answer in session.answers([prompt], load.variants, config)]
        for prompt in prompts_of(load.visitors)
    ]


def measure_visitors(session: LiveSession, load: VisitorLoad, alone: list[list[str]], at_once: int) -> VisitorFigures:
    """Let all visitors ask until the time is over.

    Args:
        session: was started, and has the adapters loaded.
        load: who asks, and for how long.
        alone: what `texts_alone` gave.
        at_once: questions that may be under way; others wait, as in the queue of a page.
    """
    figures, lock, room = VisitorFigures(), threading.Lock(), threading.BoundedSemaphore(at_once)
    until = time.monotonic() + load.seconds

    def over() -> bool:
        return time.monotonic() >= until

    def visit(number: int, prompt: str) -> None:
        while not over():
            began = time.perf_counter()
            with room:
                columns, first = _ask(session, prompt, load, over)
                if over():
                    with lock:
                        figures.first_words.append(first - began)
                    return
                _judge_and_measure(session, prompt, columns, load.variants)
            texts = [column.answer.text if column.answer else "" for column in columns]
            with lock:
                figures.first_words.append(first - began)
                figures.answered += not over()
                figures.other_text += texts != alone[number]
                figures.mixed_up += texts != alone[number] and texts in alone

    threads = [threading.Thread(target=visit, args=one) for one in enumerate(prompts_of(load.visitors))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return figures


def _ask(
    session: LiveSession, prompt: str, load: VisitorLoad, cancelled: Callable[[], bool]
) -> tuple[list[ColumnState], float]:
    """The columns at the end, and when the first word came."""
    first, columns = 0.0, list[ColumnState]()
    for columns in session.ask(prompt, load.variants, DecodingConfig(max_new_tokens=load.tokens), cancelled):
        if not first and any(column.answer and column.answer.text for column in columns):
            first = time.perf_counter()
    return columns, first or time.perf_counter()


def _judge_and_measure(
    session: LiveSession, prompt: str, columns: list[ColumnState], variants: tuple[str, ...]
) -> None:
    texts = [column.answer.text for column in columns if column.answer]
    session.verdicts(prompt, list(dict.fromkeys(texts)))
    if texts and texts[0].strip():
        session.divergence(prompt, texts[0], variants)
