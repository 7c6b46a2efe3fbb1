"""Asking: stream the answers of some columns, then have them judged. Says what to show; lays nothing out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gradio as gr

from sku.config import DecodingConfig
from sku.session import Column, LiveSession
from sku.ui import badges
from sku.ui.turns import Turns
from sku.variants import BASE

MAX_PROMPT = 2000
"""Characters."""


def asker(
    session: LiveSession, turns: Turns, columns: Sequence[int], silent: bool = False
) -> Callable[..., Iterator[Any]]:
    """A handler that writes into `columns`: from the prompt, the settings, all variants and all coefficients.

    Args:
        session: answers.
        turns: shared by all handlers of a page.
        columns: which are asked, from 0.
        silent: do nothing without a prompt, instead of refusing.
    """

    def ask(request: gr.Request, text: str, *values: Any) -> Iterator[Any]:
        if text.strip() or not silent:
            yield from _ask(session, turns, request, text, values, columns)

    return ask


def _ask(
    session: LiveSession, turns: Turns, request: gr.Request, text: str, values: Sequence[Any], columns: Sequence[int]
) -> Iterator[Any]:
    """Stream answers into `columns`; values are length, temperature, seed, all variants, all coefficients."""
    visitor, count = str(request.session_hash), (len(values) - 3) // 2
    length, temperature, seed = values[:3]
    names, coefficients = values[3 : 3 + count], values[3 + count :]
    mine = turns.take(visitor, columns)
    if not text.strip():
        raise gr.Error("The prompt is empty; write a question.", title="Nothing to ask")
    if len(text) > MAX_PROMPT:
        raise gr.Error(f"The prompt has {len(text)} characters; at most {MAX_PROMPT} are taken.", title="Too long")
    wanted = [names[i] if names[i] == BASE else f"{names[i]}@{coefficients[i]:g}" for i in columns]
    doing = "writing" if session.ready else f"waking: {session.doing or 'loading'}"
    yield [part for _ in columns for part in ("", badges.waiting(doing))]
    state: list[Column] = []
    try:
        config = DecodingConfig(max_new_tokens=int(length), temperature=float(temperature), seed=int(seed or 0))
        for state in session.ask(text, wanted, config, lambda: not turns.mine(visitor, mine)):
            live = turns.mine(visitor, mine)
            if not live:
                yield _facts(columns, [badges.facts(column) for column in state], turns.stopped(visitor, mine))
                return
            yield _parts(columns, [(_text(column), badges.facts(column)) for column in state], live)
    except (ValueError, OSError) as error:
        raise gr.Error(str(error), title="No answer") from error
    yield _facts(columns, [_judging(column) for column in state], turns.mine(visitor, mine))
    lines = _judged(session, text, state)
    yield _facts(columns, lines, [*turns.mine(visitor, mine), *turns.stopped(visitor, mine)])


def _judging(column: Column) -> str:
    return badges.facts(column) + ("<br>" + badges.JUDGING if column.answer else "")


def _judged(session: LiveSession, prompt: str, state: Sequence[Column]) -> list[str]:
    """The facts of each column, and beneath them what the judge made of its answer."""
    texts = [column.answer.text for column in state if column.answer]
    try:
        lines = [badges.badge(verdict) for verdict in session.verdicts(prompt, texts)] if texts else []
    except (ValueError, OSError) as error:
        lines = [badges.unjudged(str(error))] * len(texts)
    second = iter(lines)
    return [badges.facts(column) + (f"<br>{next(second)}" if column.answer else "") for column in state]


def _parts(columns: Sequence[int], shown: Sequence[tuple[Any, Any]], live: Sequence[int]) -> list[Any]:
    """Updates of answers and facts; columns that are another request's by now are left alone."""
    both = zip(columns, shown, strict=True)
    return [part for i, pair in both for part in (pair if i in live else (gr.skip(), gr.skip()))]


def _facts(columns: Sequence[int], lines: Sequence[str], live: Sequence[int]) -> list[Any]:
    return _parts(columns, [(gr.skip(), line) for line in lines], live)


def _text(column: Column) -> str:
    return column.answer.text if column.answer else ""
