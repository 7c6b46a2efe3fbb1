"""Restores Compare from a link or an exported file, and makes such links. All data from outside is checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import gradio as gr

from sku.core.text_lines import decode_text
from sku.serving.variant_catalog import CatalogEntry
from sku.ui.compare import badges, share
from sku.ui.compare.asking import ColumnUpdate
from sku.ui.compare.attack_choice import start_html
from sku.ui.compare.column_variant import ColumnVariant, column_variant
from sku.ui.compare.comparison import Comparison, ComparisonSettings, comparison_from_json
from sku.ui.compare.components import CompareComponents
from sku.ui.compare.controls import MAX_COLUMNS
from sku.ui.compare.shown_answers import ShownAnswers
from sku.ui.events import UNCHANGED, Updates, Values
from sku.ui.hosting.access import Access


class RestoreHandlers:
    """Handlers that make a link, open a link, and show an exported file."""

    def __init__(self, components: CompareComponents, access: Access) -> None:
        self.components, self.access = components, access

    def make_link(self, request: gr.Request, values: Values) -> str:
        """The link fragment that restores the current controls."""
        controls, gate = self.components.read(values), self.access.gate
        try:
            prompt = gate.prompt(controls.prompt)
            entries = self.access.entries(request)
            variants = [column_variant(text, entries, gate).text for text in controls.variants()]
            how = gate.decoding(controls.length, controls.temperature, controls.seed, controls.samples)
            attack = gate.question_attack(controls.attack, controls.answer_start)
        except ValueError as error:
            raise gr.Error(str(error), title="No link") from error
        return share.make_fragment(
            share.LinkState(prompt, variants, how.max_new_tokens, how.temperature, how.seed, how.samples, attack)
        )

    def open_link(self, request: gr.Request, fragment: str | None) -> Updates:
        """Restore what a link contains. An empty link changes nothing, and a damaged one shows a warning."""
        try:
            link = share.parse_fragment(fragment)
        except ValueError as error:
            gr.Warning(str(error), title="Not opened")
            link = None
        return self._restored(request, link.prompt, link.settings, link.variants) if link else UNCHANGED

    def replay_file(self, request: gr.Request, values: Values) -> Updates:
        """Show an exported comparison with the answers from the file. No model is asked."""
        try:
            comparison = comparison_from_json(decode_text(bytes(values[self.components.toolbar.upload]), "this file"))
        except (ValueError, TypeError) as error:
            raise gr.Error(str(error), title="Not imported") from error
        shown: ShownAnswers = values[self.components.shown]
        shown.replay(comparison)
        variants = [part.variant for part in comparison.parts]
        return self._restored(request, comparison.prompt, comparison.settings, variants) | self._answers(comparison)

    def _restored(
        self, request: gr.Request, prompt: str, settings: ComparisonSettings, variants: Sequence[str]
    ) -> Updates:
        parts, how = self.components, self.components.decoding
        within = self._clamped(settings)
        count = max(2, min(len(variants), MAX_COLUMNS))
        updates: Updates = {
            parts.ask_row.prompt: prompt,
            how.length: within.length,
            how.temperature: within.temperature,
            how.seed: within.seed,
            how.samples: within.samples,
            parts.toolbar.count: count,
            **parts.attack.hold(settings.attack),
        }
        entries = self.access.entries(request)
        for i, column in enumerate(parts.columns):
            held = self._variant(variants[i], i, entries) if i < len(variants) else ColumnVariant()
            updates |= {column.column: gr.Column(visible=i < count), **column.hold(held, entries)}
        return updates

    def _clamped(self, settings: ComparisonSettings) -> ComparisonSettings:
        """The settings, clamped to the ranges of the page's controls, which refuse other values."""
        hosting = self.access.gate.hosting
        return dataclasses.replace(
            settings,
            length=max(8, min(settings.length, hosting.new_tokens)),
            temperature=max(0.0, min(settings.temperature, 2.0)),
            seed=max(0, min(settings.seed, 2**31 - 1)),
            samples=max(2, min(settings.samples, hosting.samples)),
        )

    def _variant(self, text: str, i: int, entries: Sequence[CatalogEntry]) -> ColumnVariant:
        """The variant; or, with a warning, the base if the visitor cannot ask that variant here."""
        try:
            return column_variant(text, entries, self.access.gate)
        except ValueError as error:
            gr.Warning(f"{error}. Column {i + 1} shows the base instead.", title="Variant not available")
            return ColumnVariant()

    def _answers(self, comparison: Comparison) -> Updates:
        updates: Updates = {}
        for i, column in enumerate(self.components.columns):
            part = comparison.parts[i] if i < len(comparison.parts) else None
            if part and part.answers:
                first = part.answers[0]
                shown = ColumnUpdate(first.text, badges.judged_lines(part, 0.0), start_html(first.answer_start))
            else:
                shown = ColumnUpdate("", " ", "")
            updates |= column.show(shown)
        return updates
