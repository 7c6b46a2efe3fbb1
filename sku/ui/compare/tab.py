"""The Compare tab: two to six variants answer one prompt, and each has a slider for its coefficient.

The tab also shows how the answers differ, and shares them as a link or a file. Text from models is shown only in text
boxes, which do not interpret HTML, or is escaped.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from sku.ui.compare.batch import BatchHandlers, picked_prompt
from sku.ui.compare.clipboard import COPY_TEXT, LABEL_AGAIN, LISTEN_TO_ADDRESS, OPEN_LINK, READ_ADDRESS
from sku.ui.compare.components import CompareComponents
from sku.ui.compare.conversation import FOCUS_PROMPT, follow_up
from sku.ui.compare.handlers import ALL_COLUMNS, AskHandlers, ColumnHandlers
from sku.ui.compare.interface import CompareInterface
from sku.ui.compare.layout import TOGGLE_MORE, lay_out_compare
from sku.ui.compare.restore import RestoreHandlers
from sku.ui.compare.shown_answers import ShownAnswers
from sku.ui.compare.sweep import sweep_handler
from sku.ui.compare.views import LENS, TYPED
from sku.ui.compare.zero_check import zero_check_handler
from sku.ui.events import AT_ONCE, DECODING_QUEUE, QUIET, STREAMING
from sku.ui.hosting.access import Access
from sku.ui.tab_context import TabContext


def build_compare(context: TabContext, tab: gr.Tab) -> None:
    """Lay out the tab and wire its events."""
    access = context.access
    parts = lay_out_compare(
        access.first_entries(), access.gate.hosting, gr.State(ShownAnswers), access.session.model_name or None
    )
    asking, columns = AskHandlers(parts, access), ColumnHandlers(parts, access)
    restoring = RestoreHandlers(parts, access)
    follow = _Follow(parts, asking)
    _wire_asking(parts, asking, follow)
    _wire_conversation(parts)
    _wire_columns(parts, asking, columns, follow)
    _wire_views(parts, follow)
    _wire_sweeps(parts, access)
    _wire_batch(parts, BatchHandlers(parts, access))
    _wire_link_and_file(parts, restoring, follow)
    _wire_address(context.page, parts, asking, restoring, follow)
    parts.zero_check.button.click(
        zero_check_handler(parts, access),
        {parts.ask_row.prompt} | parts.standing,
        parts.zero_check.result,
        api_visibility="private",
        **DECODING_QUEUE,
    )
    for trigger in (context.page.load, tab.select):
        trigger(columns.refresh_lists, None, {column.variant for column in parts.columns}, **QUIET)
    context.page.unload(asking.leave)
    context.compare = CompareInterface(parts, access, context.tabs)


class _Follow:
    """Chains a handler to events that change answers: it updates the views, samples, exports and history."""

    def __init__(self, parts: CompareComponents, asking: AskHandlers) -> None:
        self.handler = asking.follow
        self.inputs = parts.controls | {parts.shown, parts.toolbar.view, parts.lens.source, parts.lens.text}
        self.outputs = {part for column in parts.columns for part in (column.view, column.sample)}
        self.outputs |= {parts.toolbar.exports, parts.history, parts.found, parts.column_tabs, parts.ask_row.stop}
        self.outputs.add(parts.conversation.follow_up)

    def __call__(self, event: Any) -> None:
        event.then(self.handler, self.inputs, self.outputs, **QUIET)


def _wire_asking(parts: CompareComponents, asking: AskHandlers, follow: _Follow) -> None:
    row, how = parts.ask_row, parts.decoding
    stream: dict[str, Any] = {
        "inputs": parts.controls | {parts.shown},
        "outputs": parts.answering | {row.stop},
        **STREAMING,
    }
    ask_all = asking.ask(ALL_COLUMNS)
    for trigger in (row.ask.click, row.prompt.submit):
        follow(trigger(ask_all, **stream))
    follow(how.again.click(_next_seed, [how.seed, how.temperature], how.seed, **QUIET).then(ask_all, **stream))
    follow(parts.ask_samples.click(asking.ask(ALL_COLUMNS, samples=True), **stream))
    parts.attack.choice.change(
        parts.attack.choose, parts.attack.choice, {parts.attack.start, parts.attack.meaning}, **AT_ONCE
    )
    question = [row.prompt, parts.conversation.earlier]
    for example in parts.tour:
        chosen = example.button.click(lambda prompt=example.prompt: (prompt, ()), None, question, **QUIET)
        follow(chosen.then(ask_all, **stream))
    chosen = parts.more_examples.input(lambda prompt: (prompt, ()), parts.more_examples, question, **QUIET)
    follow(chosen.then(asking.ask(ALL_COLUMNS, silent=True), **stream))
    row.stop.click(asking.stop, None, None, queue=False, api_visibility="private")
    parts.history.input(lambda prompt: prompt or gr.skip(), parts.history, row.prompt, **AT_ONCE)


def _wire_conversation(parts: CompareComponents) -> None:
    before = parts.conversation
    before.follow_up.click(follow_up, parts.shown, [before.earlier, parts.ask_row.prompt], js=FOCUS_PROMPT, **QUIET)
    before.restart.click(lambda: (), None, before.earlier, js=FOCUS_PROMPT, **QUIET)
    shown = {before.row, before.line, before.restart}
    for changed in (before.system.change, before.earlier.change):
        changed(before.show, [before.system, before.earlier], shown, **AT_ONCE)


def _wire_columns(parts: CompareComponents, asking: AskHandlers, handlers: ColumnHandlers, follow: _Follow) -> None:
    inputs = parts.controls | {parts.shown}
    for i, column in enumerate(parts.columns):
        ask: dict[str, Any] = {"fn": asking.ask([i], silent=True), "inputs": inputs}
        ask["outputs"] = column.answering | {parts.ask_row.stop}
        follow(column.slider.release(**ask, **STREAMING))
        moving = {column.held, column.slider, parts.shown}
        column.slider.change(handlers.move_slider(i), moving, {column.heading, column.pill}, **AT_ONCE)
        swept = column.sweep.marks.input(lambda coefficient: coefficient, column.sweep.marks, column.slider, **QUIET)
        follow(swept.then(**ask, **STREAMING))
        column.variant.input(
            handlers.choose(i), {column.held, column.choice_count, column.variant}, column.holding, **QUIET
        )
        chosen = ask | {"fn": asking.ask_chosen(i), "inputs": inputs | {column.choice_count}}
        follow(column.choice_count.change(**chosen, **STREAMING))
        column.sample.input(asking.pick_sample(i), {parts.shown, column.sample}, column.answering, **AT_ONCE)
        copied = column.copy.click(None, column.answer, column.copy, js=COPY_TEXT)
        copied.then(None, None, column.copy, js=LABEL_AGAIN)
        for moved in (column.slider.change, column.variant.change):
            moved(handlers.place_on_scale, parts.standing, parts.rate_scale, **AT_ONCE)
    count = parts.toolbar.count
    count.change(handlers.place_on_scale, parts.standing, parts.rate_scale, **AT_ONCE)
    resized = count.change(handlers.resize, count, {column.column for column in parts.columns}, **QUIET)
    follow(resized.then(asking.ask_unanswered, inputs, parts.answering | {parts.ask_row.stop}, **STREAMING))


def _wire_views(parts: CompareComponents, follow: _Follow) -> None:
    view, lens = parts.toolbar.view, parts.lens
    follow(view.change(lambda kind: gr.Row(visible=kind == LENS), view, lens.row, **QUIET))
    follow(lens.source.input(lambda: None, None, None, **QUIET))
    follow(lens.text.submit(lambda: TYPED, None, lens.source, **QUIET))


def _wire_sweeps(parts: CompareComponents, access: Access) -> None:
    for i, column in enumerate(parts.columns):
        column.sweep.button.click(
            sweep_handler(parts, access, i),
            parts.controls | {column.held},
            {column.sweep.marks},
            api_visibility="private",
            **DECODING_QUEUE,
        )


def _wire_batch(parts: CompareComponents, handlers: BatchHandlers) -> None:
    panel = parts.batch
    panel.start.click(
        handlers.ask, parts.controls | {panel.prompts}, {panel.summary, panel.grid}, **QUIET, **DECODING_QUEUE
    )
    panel.upload.upload(handlers.fill, {panel.upload}, panel.prompts, **QUIET)
    panel.grid.select(picked_prompt, None, parts.ask_row.prompt, **QUIET)


def _wire_link_and_file(parts: CompareComponents, handlers: RestoreHandlers, follow: _Follow) -> None:
    parts.toolbar.more.click(None, None, None, js=TOGGLE_MORE)
    made = parts.toolbar.link.click(handlers.make_link, parts.controls | {parts.shown}, parts.link, **QUIET)
    opened = made.success(None, parts.link, [parts.link, parts.link_copied], js=OPEN_LINK)
    opened.then(handlers.link_box, [parts.link_copied, parts.link], parts.link, **QUIET)
    uploaded = parts.upload.upload(
        handlers.replay_file,
        {parts.shown, parts.upload},
        parts.restored | parts.answering,
        **QUIET,
    )
    follow(uploaded)


def _wire_address(
    page: gr.Blocks, parts: CompareComponents, asking: AskHandlers, handlers: RestoreHandlers, follow: _Follow
) -> None:
    """A link, a second one in the same tab, and Back show what the address says."""
    stopped = parts.address_changed.click(asking.stop, None, None, queue=False, api_visibility="private")
    for read in (
        page.load(None, None, parts.fragment, js=LISTEN_TO_ADDRESS),
        stopped.then(None, None, parts.fragment, js=READ_ADDRESS),
    ):
        inputs, outputs = {parts.shown, parts.fragment}, parts.restored | parts.answering
        opened = read.then(handlers.open_address, inputs, outputs, **QUIET)
        opened = opened.then(handlers.hold_address, inputs, parts.shown, **QUIET)
        inputs, outputs = parts.controls | {parts.shown}, parts.answering | {parts.ask_row.stop}
        follow(opened.then(asking.complete_link, inputs, outputs, **STREAMING))


def _next_seed(seed: float | None, temperature: float) -> int:
    """The next seed if answers are sampled. At temperature 0 the seed stays, because it changes nothing."""
    return int(seed or 0) + (1 if temperature else 0)
