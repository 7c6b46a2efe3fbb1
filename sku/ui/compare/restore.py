"""Restores Compare from a link or an exported file, and makes such links. All data from outside is checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import gradio as gr

from sku.core.text_lines import decode_text
from sku.serving.variant_catalog import CatalogEntry
from sku.ui.compare import badges, share
from sku.ui.compare.answer_text import above_answer_html, answer_box_text
from sku.ui.compare.asking import ColumnUpdate
from sku.ui.compare.column_variant import ColumnVariant, column_variant
from sku.ui.compare.comparison import Comparison, ComparisonSettings, comparison_from_json
from sku.ui.compare.components import CompareComponents
from sku.ui.compare.controls import MAX_COLUMNS
from sku.ui.compare.shown_answers import ShownAnswers
from sku.ui.events import UNCHANGED, Updates, Values
from sku.ui.hosting.access import Access
from sku.ui.messages import refusal, warn


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
            raise refusal(error, "No link") from error
        return share.make_fragment(
            share.LinkState(prompt, variants, how.max_new_tokens, how.temperature, how.seed, how.samples, attack)
        )

    def open_link(self, request: gr.Request, fragment: str | None) -> Updates:
        """Restore what a link contains. An empty link changes nothing, and a damaged one shows a warning."""
        try:
            link = share.parse_fragment(fragment)
        except ValueError as error:
            warn(error, "Not opened")
            link = None
        return self._restored(request, link.prompt, link.settings, link.variants) if link else UNCHANGED

    def open_next_link(self, request: gr.Request, values: Values) -> Updates:
        """Open a link in a tab that shows something already. Answers to another prompt are cleared."""
        opened = self.open_link(request, values[self.components.fragment])
        if opened is UNCHANGED:
            return UNCHANGED
        shown: ShownAnswers = values[self.components.shown]
        shown.clear()
        for column in self.components.columns:
            opened |= column.show(ColumnUpdate("", " ", ""))
        return opened

    def link_box(self, copied: str) -> gr.Textbox:
        """Show the link, and say that it was copied only if it was."""
        state = "copied to the clipboard" if copied else "not copied: mark it and press Ctrl+C"
        label = f"Link to this comparison, {state}. The prompt comes after the #, so no server sees it."
        return gr.Textbox(visible=True, label=label)

    def replay_file(self, request: gr.Request, values: Values) -> Updates:
        """Show an exported comparison with the answers from the file. No model is asked."""
        try:
            comparison = comparison_from_json(decode_text(bytes(values[self.components.toolbar.upload]), "this file"))
        except (ValueError, TypeError) as error:
            raise refusal(error, "Not imported") from error
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
            length=min(max(8, settings.length), hosting.new_tokens),
            temperature=max(0.0, min(settings.temperature, 2.0)),
            seed=max(0, min(settings.seed, 2**31 - 1)),
            samples=min(max(2, settings.samples), hosting.samples),
        )

    def _variant(self, text: str, i: int, entries: Sequence[CatalogEntry]) -> ColumnVariant:
        """The variant; or, with a warning, the base if the visitor cannot ask that variant here."""
        try:
            return column_variant(text, entries, self.access.gate)
        except ValueError as error:
            warn(f"{error}. Column {i + 1} shows the base instead.", "Variant not available")
            return ColumnVariant()

    def _answers(self, comparison: Comparison) -> Updates:
        updates: Updates = {}
        for i, column in enumerate(self.components.columns):
            part = comparison.parts[i] if i < len(comparison.parts) else None
            if part and part.answers:
                first = part.answers[0]
                lines, pill = badges.judged_lines(part, 0.0), badges.chosen_pill(part)
                shown = ColumnUpdate(answer_box_text(first), lines, above_answer_html(first), pill)
            else:
                shown = ColumnUpdate("", " ", "", "")
            updates |= column.show(shown)
        return updates
