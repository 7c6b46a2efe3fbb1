"""Restores Compare from a link or an exported file, and makes such links. All data from outside is checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import gradio as gr

from sku.core.records import Answer
from sku.core.variants import parse_variant
from sku.models.pretrained import public_name
from sku.serving.variant_catalog import CatalogEntry
from sku.ui.compare import badges, share
from sku.ui.compare.answer_text import answer_box_text
from sku.ui.compare.asking import ColumnUpdate, above_column
from sku.ui.compare.column_variant import ColumnVariant, column_variant
from sku.ui.compare.comparison import ComparedColumn, Comparison, ComparisonSettings, comparison_from_json
from sku.ui.compare.components import CompareComponents
from sku.ui.compare.controls import MAX_COLUMNS
from sku.ui.compare.shown_answers import ShownAnswers
from sku.ui.events import UNCHANGED, Updates, Values, uploaded_text
from sku.ui.hosting.access import Access
from sku.ui.messages import refusal, warn


class RestoreHandlers:
    """Handlers that make a link, open a link, and show an exported file."""

    def __init__(self, components: CompareComponents, access: Access) -> None:
        self.components, self.access = components, access

    def make_link(self, request: gr.Request, values: Values) -> str:
        """The link fragment that restores the current controls, with the answers if they fit in."""
        controls, gate = self.components.read(values), self.access.gate
        try:
            prompt = gate.prompt(controls.prompt)
            entries = self.access.entries(request)
            variants = [column_variant(text, entries, gate).text for text in controls.variants()]
            how = gate.decoding(controls.length, controls.temperature, controls.seed, controls.samples)
            attack = gate.question_attack(controls.attack, controls.answer_start)
            system, earlier = gate.conversation(controls.system or "", controls.earlier or ())
        except ValueError as error:
            raise refusal(error, "No link") from error
        link = share.LinkState(prompt, variants, how.max_new_tokens, how.temperature, how.seed, how.samples, attack)
        link = dataclasses.replace(link, system=system, earlier=list(earlier))
        answers = [_link_answer(values[self.components.shown], i, link) for i in range(len(variants))]
        model = public_name(self.access.session.model_name)
        return share.make_fragment(dataclasses.replace(link, model=model, answers=answers) if any(answers) else link)

    def open_link(self, request: gr.Request, fragment: str | None) -> Updates:
        """Restore the controls from a link. An empty link changes nothing, and a damaged one shows a warning."""
        link = _parsed(fragment)
        return self._restored(request, link.prompt, link.settings, link.variants, link.earlier) if link else UNCHANGED

    def open_address(self, request: gr.Request, values: Values) -> Updates:
        """Show what the link in the page's address holds, and nothing of what was shown before.

        Its answers are hidden: `AskHandlers.complete_link` has them judged, and asks for those that are missing.
        """
        link = _parsed(values[self.components.fragment])
        if link is None:
            return UNCHANGED
        opened, columns = self._opened(request, link, values[self.components.shown])
        for i, column in enumerate(self.components.columns):
            opened |= column.show(_unjudged(columns[i]) if i in columns else ColumnUpdate("", " ", "", "", ""))
        return opened

    def hold_address(self, request: gr.Request, values: Values) -> ShownAnswers:
        """What `open_address` opened, once more if it was lost.

        The first handlers of a visit run side by side, and gradio may give each a new copy of the visit's state.
        """
        shown: ShownAnswers = values[self.components.shown]
        link = _parsed(values[self.components.fragment], quiet=True)
        if link and not shown.opening:
            self._opened(request, link, shown)
        return shown

    def _opened(
        self, request: gr.Request, link: share.LinkState, shown: ShownAnswers
    ) -> tuple[Updates, dict[int, ComparedColumn]]:
        opened = self._restored(request, link.prompt, link.settings, link.variants, link.earlier)
        held = [opened[column.held] for column in self.components.columns]
        columns = _link_columns(link, held, public_name(self.access.session.model_name))
        shown.clear()
        shown.open_link(link.prompt, link.model, link.settings, columns, link.earlier)
        return opened, columns

    def link_box(self, copied: str, link: str | None = "") -> gr.Textbox:
        """Show the link, and say that it was copied only if it was, and whether it carries the answers."""
        state = "copied to the clipboard" if copied else "not copied: mark it and press Ctrl+C"
        found = _parsed((link or "").partition("#")[2])
        label = f"Link, {state}. {_carried(found) if found else ''} Its data come after the #, so no server sees them."
        return gr.Textbox(visible=True, label=label)

    def replay_file(self, request: gr.Request, values: Values) -> Updates:
        """Show an exported comparison with the answers from the file. No model is asked."""
        try:
            comparison = comparison_from_json(uploaded_text(values[self.components.upload]))
        except ValueError as error:
            raise refusal(error, "Not imported") from error
        shown: ShownAnswers = values[self.components.shown]
        shown.replay(comparison)
        variants = [part.variant for part in comparison.parts]
        restored = self._restored(request, comparison.prompt, comparison.settings, variants, comparison.questions)
        return restored | self._answers(comparison)

    def _restored(
        self,
        request: gr.Request,
        prompt: str,
        settings: ComparisonSettings,
        variants: Sequence[str],
        earlier: Sequence[str],
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
            **parts.conversation.hold(settings.system, earlier),
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
                above = above_column(part)
                shown = ColumnUpdate(answer_box_text(first), lines, above, pill, badges.chosen_fold(part))
            else:
                shown = ColumnUpdate("", " ", "", "", "")
            updates |= column.show(shown)
        return updates


def _parsed(fragment: str | None, quiet: bool = False) -> share.LinkState | None:
    """The link; None if there is none, or, with a warning unless `quiet`, if it is damaged."""
    try:
        return share.parse_fragment(fragment)
    except ValueError as error:
        if not quiet:
            warn(error, "Not opened")
        return None


def _carried(link: share.LinkState) -> str:
    """Which answers a link carries."""
    if link.earlier:
        return f"It carries the {len(link.earlier) + 1} questions of the conversation and asks them when it is opened."
    there = sum(answer is not None for answer in link.answers)
    if there == len(link.variants):
        return "It carries the answers."
    if there:
        return f"It carries {there} of {len(link.variants)} answers and asks for the others when it is opened."
    return (
        "It carries no answers, because there are none under these settings or they need more than "
        f"{share.MAX_CHARACTERS_WITH_ANSWERS:,} characters; it asks when it is opened."
    )


def _link_answer(shown: ShownAnswers, i: int, link: share.LinkState) -> share.LinkAnswer | None:
    """The answer that column `i` shows, if it is of the link's variant and was asked for under the link's settings."""
    column, settings = shown.columns.get(i), dataclasses.replace(shown.settings, samples=link.samples)
    if link.earlier or column is None or not shown.answers_prompt(i):
        return None
    if shown.prompt != link.prompt or settings != link.settings:
        return None
    if parse_variant(column.variant) != parse_variant(link.variants[i]):
        return None
    first = column.answers[0]
    return share.LinkAnswer(first.text, first.tokens, first.stopped, first.answer_start)


def _link_columns(link: share.LinkState, held: Sequence[ColumnVariant], model: str) -> dict[int, ComparedColumn]:
    """The columns with answers out of a link, without answers of another base or of variants that are not here."""
    if link.model != model:
        return {}
    found = {}
    for i, (text, answer, variant) in enumerate(zip(link.variants, link.answers, held, strict=False)):
        if answer is not None and parse_variant(variant.text) == parse_variant(text):
            one = Answer(
                variant=variant.text,
                coefficient=0.0 if not variant.terms else variant.coefficient,
                prompt=link.prompt,
                sample=0,
                seed=link.seed,
                text=answer.text,
                tokens=answer.tokens,
                seconds=0.0,
                stopped=answer.stopped,
                answer_start=answer.start,
                attack=link.attack.name,
            )
            found[i] = ComparedColumn(variant.text, variant.label, (one,), (), None, from_link=True)
    return found


def _unjudged(column: ComparedColumn) -> ColumnUpdate:
    """An answer out of a link, which is hidden until it is judged."""
    answer = column.answers[0]
    facts = badges.judged_lines(column, 0.0)
    return ColumnUpdate(answer_box_text(answer), facts, above_column(column), "", badges.waiting_fold())
