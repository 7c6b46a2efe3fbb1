"""The event handlers of Compare: each takes the values of components and returns updates. `tab.py` wires them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import gradio as gr

from sku.core.conversation import judged_prompt
from sku.core.records import Outcome
from sku.ui.compare import badges, rate_scale, share, views
from sku.ui.compare.asking import Asker, ColumnUpdate
from sku.ui.compare.column import variant_options
from sku.ui.compare.column_variant import ColumnVariant, column_variant, typed_variant
from sku.ui.compare.components import CompareComponents
from sku.ui.compare.controls import MAX_COLUMNS, Controls
from sku.ui.compare.shown_answers import ShownAnswers
from sku.ui.compare.views import ViewChoice
from sku.ui.events import UNCHANGED, Updates, Values
from sku.ui.hosting.access import Access
from sku.ui.messages import warn

Handler = Callable[[gr.Request, Values], Updates]
StreamingHandler = Callable[[gr.Request, Values], Iterator[Updates]]
ALL_COLUMNS = range(MAX_COLUMNS)
EARLIER = ("earlier prompts", "")
"""What the list of earlier prompts shows while none is chosen."""


class AskHandlers:
    """Handlers that ask columns, stop them, and update everything that depends on their answers."""

    def __init__(self, components: CompareComponents, access: Access) -> None:
        self.components, self.asker = components, Asker(access)

    def ask(self, columns: Sequence[int], samples: bool = False, silent: bool = False) -> StreamingHandler:
        """Return a handler that asks some columns.

        Args:
            columns: the columns, counted from 0. Hidden ones are not asked.
            samples: whether to ask for as many answers as the page's setting says, instead of one.
            silent: whether an empty prompt does nothing, instead of showing an error.
        """

        def ask(request: gr.Request, values: Values) -> Iterator[Updates]:
            controls, shown = self._read(values)
            if silent and isinstance(controls.prompt, str) and not controls.prompt.strip():
                return
            count = controls.samples if samples else 1
            yield from self._updates(self.asker.ask(request, shown, controls, columns, count, hot=samples))

        return ask

    def ask_chosen(self, i: int) -> StreamingHandler:
        """Return a handler that asks column `i` if a variant was chosen for it since it was last asked so.

        The event of `choice_count` also fires when a column appears, as when a link with more columns is opened.
        """
        column, ask_column = self.components.columns[i], self.ask([i], silent=True)

        def ask(request: gr.Request, values: Values) -> Iterator[Updates]:
            shown: ShownAnswers = values[self.components.shown]
            if shown.choices.get(i, 0) != values[column.choice_count]:
                shown.choices[i] = values[column.choice_count]
                yield from ask_column(request, values)

        return ask

    def ask_unanswered(self, request: gr.Request, values: Values) -> Iterator[Updates]:
        """Ask the columns that have just become visible and have not answered the others' prompt yet."""
        controls, shown = self._read(values)
        columns = [] if shown.opening else self.asker.unanswered(shown, controls)
        if columns:
            yield from self._updates(self.asker.ask(request, shown, controls, columns))

    def complete_link(self, request: gr.Request, values: Values) -> Iterator[Updates]:
        """Judge the answers of the link that was just opened, and ask the columns for which it has none."""
        controls, shown = self._read(values)
        try:
            yield from self._updates(self.asker.judge_link(request, shown))
            columns = self.asker.unanswered(shown, controls) if shown.opening else []
            if columns:
                yield from self._updates(self.asker.ask(request, shown, controls, columns))
        finally:
            shown.opening = False

    def stop(self, request: gr.Request) -> None:
        """Stop all columns."""
        self.asker.requests.stop(str(request.session_hash), ALL_COLUMNS)

    def leave(self, request: gr.Request) -> None:
        """Forget the visitor, who has closed the page."""
        self.asker.requests.leave(str(request.session_hash))

    def follow(self, request: gr.Request, values: Values) -> Updates:
        """Update everything that depends on the shown answers: views, the choice of samples, exports and history."""
        parts = self.components
        controls, shown = self._read(values)
        visible = controls.shown()
        choice = ViewChoice(values[parts.toolbar.view], values[parts.lens.source], values[parts.lens.text])
        texts = views.view_texts(
            shown,
            visible,
            choice,
            lambda prompt, answer: self.asker.lens(request, controls, prompt, answer, shown.conversation_of(answer)),
            lambda prompt, text: self.asker.verdict(judged_prompt(shown.earlier, prompt), text),
        )
        comparison = shown.comparison(visible)
        return {
            **{c.view: gr.HTML(texts.get(i), visible=i in texts) for i, c in enumerate(parts.columns)},
            **{c.sample: _sample_list(views.sample_count(shown, i)) for i, c in enumerate(parts.columns)},
            parts.found: badges.found_line(comparison.parts) if comparison else "",
            parts.column_tabs: badges.column_tabs(_tab_names(controls, shown)),
            parts.ask_row.stop: gr.Button(visible=False),
            parts.conversation.follow_up: gr.Button(interactive=comparison is not None),
            parts.toolbar.exports: share.download_links(comparison) if comparison else "",
            parts.history: gr.Dropdown(choices=[EARLIER, *shown.history], value="", visible=len(shown.history) > 1),
        }

    def pick_sample(self, i: int) -> Callable[[Values], Updates]:
        """Return a handler that shows the chosen sample in column `i`."""
        column = self.components.columns[i]

        def pick(values: Values) -> Updates:
            shown: ShownAnswers = values[self.components.shown]
            return column.show(views.sample_update(shown, i, values[column.sample])) or UNCHANGED

        return pick

    def _read(self, values: Values) -> tuple[Controls, ShownAnswers]:
        return self.components.read(values), values[self.components.shown]

    def _updates(self, steps: Iterator[Mapping[int, ColumnUpdate]]) -> Iterator[Updates]:
        columns = self.components.columns
        for step in steps:
            updates = {part: value for i, update in step.items() for part, value in columns[i].show(update).items()}
            if updates:
                yield {self.components.ask_row.stop: gr.Button("Stop", visible=True), **updates}


class ColumnHandlers:
    """Handlers that change which variants the columns show."""

    def __init__(self, components: CompareComponents, access: Access) -> None:
        self.components, self.access = components, access

    def choose(self, i: int) -> Handler:
        """Return a handler that puts the chosen or typed variant into column `i`.

        If the text is not a valid variant, the handler shows a warning and restores the old value.
        """
        column = self.components.columns[i]

        def choose(request: gr.Request, values: Values) -> Updates:
            held: ColumnVariant = values[column.held]
            text = values[column.variant]
            if text == held.list_value:  # gradio also fires this event when the list merely loses focus
                return UNCHANGED
            entries, gate = self.access.entries(request), self.access.gate
            try:
                return column.choose(column_variant(typed_variant(text, entries, gate), entries, gate), entries, values)
            except ValueError as error:
                warn(error, "Not chosen")
                return {column.variant: held.list_value}

        return choose

    def move_slider(self, i: int) -> Callable[[Values], Updates]:
        """Return a handler that updates the heading of column `i` while its slider moves."""
        column = self.components.columns[i]

        def move(values: Values) -> Updates:
            held: ColumnVariant = values[column.held]
            moved = held.at(float(values[column.slider]))
            updates: Updates = {column.heading: badges.variant_heading(moved)}
            answered = values[self.components.shown].columns.get(i)
            if answered and answered.variant != moved.text:
                updates[column.pill] = badges.stale_pill(answered.variant)
            return updates

        return move

    def resize(self, count: int) -> Updates:
        """Show the first `count` columns."""
        return {c.column: gr.Column(visible=i < count) for i, c in enumerate(self.components.columns)}

    def place_on_scale(self, values: Values) -> str:
        """Place the shown variants on the scale of recorded harmful rates."""
        try:
            variants, model = self.components.read(values).variants(), self.access.session.model_name
            return rate_scale.rate_scale_html(variants, model or None)
        except ValueError:
            return ""

    def refresh_lists(self, request: gr.Request) -> Updates:
        """Update all lists of variants, so that they contain new runs. The chosen values stay."""
        options = variant_options(self.access.entries(request))
        return {column.variant: gr.Dropdown(choices=options) for column in self.components.columns}


def _tab_names(controls: Controls, shown: ShownAnswers) -> dict[int, tuple[str, Outcome | None]]:
    """The variant of every visible column, and the outcome of its answer if it was judged."""
    names: dict[int, tuple[str, Outcome | None]] = {}
    for i in controls.shown():
        part = shown.columns.get(i)
        outcome = part.verdicts[0].outcome if part and part.verdicts else None
        names[i] = (part.variant if part else _chosen_variant(controls, i), outcome)
    return names


def _chosen_variant(controls: Controls, i: int) -> str:
    try:
        return controls.columns[i].text()
    except ValueError:  # half typed
        return f"column {i + 1}"


def _sample_list(count: int) -> gr.Radio:
    """The list of `count` samples, with the first one chosen. It is hidden if there is only one."""
    return gr.Radio(choices=[(str(k + 1), k) for k in range(count)], value=0, visible=count > 1)
