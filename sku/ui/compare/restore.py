"""Compare reopened: from a link, or from an exported file; and the link itself. What comes from outside is checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from sku.core.variants import BASE
from sku.serving.variant_catalog import CatalogEntry
from sku.ui.compare import badges, columns, share
from sku.ui.compare.ask_handlers import MAX_COLUMNS, Controls, ShownAnswers
from sku.ui.compare.record import ComparisonSettings, comparison_from_json
from sku.ui.hosting.gate import Gate


def link_handler(gate: Gate, choices: Callable[[gr.Request], list[CatalogEntry]]) -> Callable[..., str]:
    """A handler: from the values of `Asked` to a link's fragment."""

    def link(request: gr.Request, *values: Any) -> str:
        asked = Controls.of(*values)
        try:
            text = gate.prompt(asked.prompt)
            known = {choice.name for choice in choices(request)}
            names = [gate.variant(asked.variant(i), known) for i in asked.shown()]
            settings = ComparisonSettings(
                int(asked.length), float(asked.temperature), int(asked.seed or 0), int(asked.samples)
            )
        except (ValueError, TypeError) as error:
            raise gr.Error(str(error), title="No link") from error
        return share.make_fragment(share.LinkState(text, names, settings))

    return link


def restore_link(text: Any, choices: list[CatalogEntry], longest: int, most: int, size: int) -> list[Any]:
    """Updates that put a link's prompt, settings and variants in place; what is not on this machine stays base."""
    try:
        link = share.parse_fragment(text)
    except ValueError as error:
        gr.Warning(str(error), title="Not opened")
        link = None
    if link is None:
        return [gr.skip()] * size
    return [link.prompt, *_within(link.settings, longest, most), *_columns(link.variants, choices)]


def _within(settings: ComparisonSettings, longest: int, most: int) -> list[Any]:
    """Length, temperature, seed and samples, as near as the page's controls can come: they refuse what is beyond."""
    return [
        max(8, min(settings.length, longest)),
        max(0.0, min(settings.temperature, 2.0)),
        max(0, min(settings.seed, 2**31 - 1)),
        max(2, min(settings.samples, most)),
    ]


def _columns(variants: Sequence[str], choices: list[CatalogEntry]) -> list[Any]:
    """Updates of count, and of column, variant, slider and heading of all six panels."""
    count = max(2, min(len(variants), MAX_COLUMNS))
    found: list[Any] = [count]
    for i in range(MAX_COLUMNS):
        found.append(gr.Column(visible=i < count))
        try:
            found += columns.place_variant(choices, variants[i] if i < len(variants) else BASE)
        except ValueError as error:
            gr.Warning(str(error), title="Not there")
            found += columns.place_variant(choices, BASE)
    return found


def replay_file(shown: ShownAnswers, given: bytes, choices: list[CatalogEntry], longest: int, most: int) -> list[Any]:
    """Updates that show an exported comparison from its own answers; no model is asked."""
    try:
        comparison = comparison_from_json(bytes(given).decode("utf-8"))
    except (ValueError, TypeError) as error:
        raise gr.Error(str(error), title="Not imported") from error
    shown.remember(comparison.prompt)
    shown.model, shown.settings = comparison.model, comparison.settings
    shown.parts = dict(enumerate(comparison.parts))
    shown.seconds = {}
    texts: list[Any] = []
    for i in range(MAX_COLUMNS):
        part = shown.parts.get(i)
        texts += [part.answers[0].text, badges.judged_lines(part, 0.0)] if part and part.answers else ["", " "]
    variants = [part.variant for part in comparison.parts]
    settings = _within(comparison.settings, longest, most)
    return [comparison.prompt, *settings, *_columns(variants, choices), *texts]
