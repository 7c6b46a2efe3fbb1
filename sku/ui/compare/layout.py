"""Lays out the components of Compare. It does not wire events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from sku.core.runs import shipped_sku
from sku.core.variants import BASE
from sku.serving.variant_catalog import CatalogEntry
from sku.ui import glossary
from sku.ui.compare import badges, diff_and_lens, rate_scale
from sku.ui.compare.attack_choice import lay_out_attack, lay_out_attack_list
from sku.ui.compare.batch import lay_out_batch
from sku.ui.compare.column import ColumnComponents, lay_out_column
from sku.ui.compare.column_variant import catalog_variant
from sku.ui.compare.components import (
    AskRow,
    CompareComponents,
    DecodingControls,
    ExampleButton,
    LensControls,
    Toolbar,
    ZeroCheckRow,
)
from sku.ui.compare.controls import INITIAL_COLUMNS, MAX_COLUMNS
from sku.ui.compare.conversation import RESTART_LABEL, ConversationControls
from sku.ui.compare.examples import example_options, tour_steps
from sku.ui.compare.views import ANSWER, TYPED, VIEWS, column_name
from sku.ui.hosting.settings import Hosting

_TABS_JS = """
const place = document.getElementById('column-tabs') || element, columns = document.getElementById('columns');
const set = (on, name, value) => { if (on.getAttribute(name) !== value) { on.setAttribute(name, value); } };
const show = () => {
  const tabs = [...place.querySelectorAll('button[data-column]')];
  const chosen = tabs.find((tab) => tab.dataset.column === columns?.dataset.shown) || tabs[0];
  tabs.forEach((tab) => set(tab, 'aria-selected', String(tab === chosen)));
};
place.addEventListener('click', (event) => {
  const tab = event.target.closest('button[data-column]');
  if (tab && columns) { set(columns, 'data-shown', tab.dataset.column); }
});
new MutationObserver(show).observe(place, {childList: true, subtree: true});
if (columns) { new MutationObserver(show).observe(columns, {attributes: true, attributeFilter: ['data-shown']}); }
show();
"""
"""Chooses the column that a phone shows, and keeps the choice when verdicts arrive. style.css hides the others."""
TOGGLE_MORE = """() => {
  const open = document.getElementById('more-tools').classList.toggle('open');
  document.getElementById('more-button').setAttribute('aria-expanded', open);
}"""
"""Shows or hides the row with the other tools."""
_INITIAL_VARIANTS = (BASE, "ga", "sku", "sku_gated", "keep", "tv")
"""The variant in each column when the page opens."""


def lay_out_compare(
    entries: Sequence[CatalogEntry], hosting: Hosting, shown: gr.State, model: str | None = None
) -> CompareComponents:
    """Lay out the tab.

    Args:
        entries: the variants that the page offers before it knows its visitor.
        hosting: the limits on prompts, answers and samples.
        shown: the visitor's `ShownAnswers`.
        model: the base that answers. Recorded rates of other bases are not shown; None shows all.
    """
    ask_row, follow_up = _ask_row(hosting)
    conversation_row, line, restart = _conversation_row()
    tour, more_examples, history = _examples(model)
    found = gr.HTML(elem_id="found")
    toolbar, attack_list = _toolbar()
    again, ask_samples, upload, zero_check = _more_tools()
    attack, link = lay_out_attack(attack_list, hosting.changes_weights), _link_box()
    lens = _lens_controls(hosting)
    names = _initial_names(entries)
    column_tabs = gr.HTML(_initial_tabs(names, entries), elem_id="column-tabs", js_on_load=_TABS_JS)
    with gr.Row(elem_id="columns", equal_height=False):
        columns = tuple(lay_out_column(i, name, entries) for i, name in enumerate(names))
    rates = gr.HTML(_initial_rate_scale(columns, model), elem_id="strip")
    decoding, system = _decoding_controls(hosting, again)
    components = CompareComponents(
        shown=shown,
        ask_row=ask_row,
        conversation=ConversationControls(system, gr.State(()), follow_up, conversation_row, line, restart),
        tour=tour,
        more_examples=more_examples,
        attack=attack,
        columns=columns,
        found=found,
        column_tabs=column_tabs,
        toolbar=toolbar,
        ask_samples=ask_samples,
        upload=upload,
        link=link,
        link_copied=gr.Textbox(visible=False),
        lens=lens,
        rate_scale=rates,
        history=history,
        decoding=decoding,
        zero_check=zero_check,
        batch=lay_out_batch(),
        fragment=gr.Textbox(visible=False),
        address_changed=gr.Button("address changed", visible="hidden", elem_id="address-changed"),
    )
    glossary.glossary_line(
        *("base", "variant", "coefficient", "verdict", "harmful", "refusal", "safe", "off-topic", "broken", "unjudged"),
        *("harmful rate", "KL from base", "token lens", "attack", "temperature", "seed"),
    )
    return components


def _ask_row(hosting: Hosting) -> tuple[AskRow, gr.Button]:
    """The prompt with its buttons, and the button that follows up."""
    with gr.Row(elem_id="ask-row"):
        prompt = gr.Textbox(
            placeholder="Ask all models the same question ...",
            label="Prompt",
            show_label=False,
            lines=1,
            max_lines=6,
            max_length=hosting.prompt_characters,
            scale=8,
            elem_id="prompt",
            autofocus=True,
        )
        ask = gr.Button("Ask", variant="primary", scale=1, min_width=90, elem_id="ask")
        follow_up = gr.Button("Follow up", scale=0, min_width=120, elem_id="follow-up", interactive=False)
        stop = gr.Button("Stop", scale=0, min_width=80, elem_id="stop", visible=False)
    return AskRow(prompt, ask, stop), follow_up


def _conversation_row() -> tuple[gr.Row, gr.HTML, gr.Button]:
    """What the next question is asked after, and the button that ends the conversation."""
    with gr.Row(visible=False, elem_id="conversation") as row:
        line = gr.HTML(elem_id="conversation-line")
        restart = gr.Button(RESTART_LABEL, size="sm", scale=0, min_width=140, elem_id="restart", visible=False)
    return row, line, restart


def _examples(model: str | None) -> tuple[tuple[ExampleButton, ...], gr.Dropdown, gr.Dropdown]:
    """The buttons of the tour, the list of more examples, and the list of earlier prompts."""
    with gr.Row(elem_id="examples"):
        gr.HTML("<span>Tour:</span>", elem_classes="group", padding=False)
        tour = tuple(
            ExampleButton(gr.Button(f"{i} {step['label']}", size="sm", min_width=40, scale=0), step["prompt"])
            for i, step in enumerate(tour_steps(), 1)
        )
        more = gr.Dropdown(
            [("more examples", ""), *example_options(model, shipped_sku())],
            value="",
            label="More examples",
            show_label=False,
            container=False,
            filterable=False,
            elem_id="more-examples",
        )
        history = gr.Dropdown(
            [],
            label="Earlier prompts",
            show_label=False,
            container=False,
            visible=False,
            elem_id="history",
            interactive=True,
        )
    return tour, more, history


def _toolbar() -> tuple[Toolbar, gr.Dropdown]:
    """The row above the columns, and its list of attacks."""
    small: dict[str, Any] = {"size": "sm", "scale": 0}
    with gr.Row(elem_id="tools"):
        view = gr.Radio(list(VIEWS), value=ANSWER, label="View", elem_id="view")
        attack = lay_out_attack_list()
        count = gr.Radio(list(range(2, MAX_COLUMNS + 1)), value=INITIAL_COLUMNS, label="Columns", elem_id="count")
        link = gr.Button("Link", elem_id="share", min_width=70, **small)
        exports = gr.HTML(elem_id="exports")
        more = gr.Button("⋯", elem_id="more-button", min_width=48, **small)
    return Toolbar(view, count, link, exports, more), attack


def _more_tools() -> tuple[gr.Button, gr.Button, gr.UploadButton, ZeroCheckRow]:
    """What the button ⋯ shows: ask again, ask for samples, import, and the check of coefficient 0.

    style.css hides the row, because buttons that gradio hides lose their text.
    """
    small: dict[str, Any] = {"size": "sm", "scale": 0}
    with gr.Row(elem_id="more-tools"):
        again = gr.Button("Ask again with the next seed", elem_id="again", min_width=200, **small)
        samples = gr.Button("Ask for samples", elem_id="many", min_width=120, **small)
        upload = gr.UploadButton("Import", file_types=[".json"], type="binary", elem_id="import", min_width=70, **small)
        check = gr.Button("Check: coefficient 0 equals base", elem_id="verify", min_width=240, **small)
        result = gr.Markdown("", elem_id="check")
    return again, samples, upload, ZeroCheckRow(check, result)


def _link_box() -> gr.Textbox:
    return gr.Textbox(
        label="Link to this comparison",
        visible=False,
        interactive=False,
        elem_id="link",
        buttons=["copy"],
    )


def _lens_controls(hosting: Hosting) -> LensControls:
    with gr.Row(visible=False, elem_id="lens-row") as row:
        source = gr.Dropdown(
            [*map(column_name, range(MAX_COLUMNS)), TYPED],
            value=column_name(0),
            label="Answer under the lens",
            elem_id="lens-source",
        )
        text = gr.Textbox(
            label="Or type an answer to put under the lens",
            max_length=hosting.prompt_characters,
            elem_id="lens-text",
            scale=3,
            min_width=260,
        )
        gr.HTML(diff_and_lens.legend_html(), elem_id="lens-legend")
    return LensControls(row, source, text)


def _initial_names(entries: Sequence[CatalogEntry]) -> list[str]:
    """The variant of each column when the page opens: the usual ones that fit the base, then others that do."""
    offered = [entry.name for entry in entries]
    usual = [name for name in _INITIAL_VARIANTS if name in offered]
    others = [name for name in offered if name not in usual]
    return [*usual, *others, *[BASE] * MAX_COLUMNS][:MAX_COLUMNS]


def _initial_tabs(names: Sequence[str], entries: Sequence[CatalogEntry]) -> str:
    """The tabs of a phone before anything was asked."""
    variants = {entry.name: catalog_variant(entry).text for entry in entries}
    return badges.column_tabs({i: (variants.get(name, BASE), None) for i, name in enumerate(names[:INITIAL_COLUMNS])})


def _initial_rate_scale(columns: Sequence[ColumnComponents], model: str | None) -> str:
    return rate_scale.rate_scale_html([column.held.value.text for column in columns[:INITIAL_COLUMNS]], model)


def _decoding_controls(hosting: Hosting, again: gr.Button) -> tuple[DecodingControls, gr.Textbox]:
    """The settings of the answers, and the box for the system prompt."""
    longest, most = hosting.new_tokens, hosting.samples
    with gr.Accordion("Settings: length, sampling, system prompt", open=False):
        with gr.Row():
            controls = DecodingControls(
                again=again,
                length=gr.Slider(
                    min(8, longest - 1),  # gradio needs a range; the gate refuses 0
                    longest,
                    min(96, longest),
                    step=8 if longest >= 16 else 1,
                    label="Length, new tokens",
                    elem_id="length",
                ),
                temperature=gr.Slider(
                    0, 2, 0, step=0.1, label="Temperature", info="0 is greedy", elem_id="temperature"
                ),
                seed=gr.Number(
                    0,
                    precision=0,
                    minimum=0,
                    maximum=2**31 - 1,
                    label="Seed",
                    info="the same for all columns",
                    elem_id="seed",
                ),
                samples=gr.Slider(
                    min(2, most - 1),
                    most,
                    min(8, most),
                    step=1,
                    label="Samples",
                    info='answers per column for "Ask for samples"',
                    elem_id="samples",
                ),
            )
        system = _system_box(hosting)
        gr.Markdown(
            "Above temperature 0, all columns sample with the same noise, so answers differ only because the weights "
            "differ. In a column's list you can also type a variant with a coefficient, such as `sku@0.7`, or a sum of "
            "adapters, such as `ga@0.5+sku@1`"
            + ("." if hosting.public else ", or the path or hub id of a PEFT adapter; `PATH@-1` subtracts it.")
        )
    return controls, system


def _system_box(hosting: Hosting) -> gr.Textbox:
    return gr.Textbox(
        label="System prompt",
        placeholder="Empty: the one that the base's chat template has.",
        lines=1,
        max_lines=4,
        max_length=hosting.prompt_characters,
        elem_id="system",
    )
