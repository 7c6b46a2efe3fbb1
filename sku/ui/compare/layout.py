"""Lays out the components of Compare. It does not wire events."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import gradio as gr

from sku.core.storage import ASSETS
from sku.core.variants import BASE
from sku.serving.variant_catalog import CatalogEntry
from sku.ui import glossary
from sku.ui.compare import badges, diff_and_lens, rate_scale
from sku.ui.compare.attack_choice import lay_out_attack
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
from sku.ui.compare.views import ANSWER, TYPED, VIEWS, column_name
from sku.ui.hosting.settings import Hosting

_EXAMPLES = ASSETS / "data" / "examples.json"
_TOUR = ASSETS / "data" / "tour.json"
"""Written by `sku record --tour assets/data/tour.json`."""
_EXAMPLE_GROUPS = {"harmful": "harmful", "normal": "normal", "sounds_harmful": "only sounds harmful"}
_TABS_JS = """
const show = (wanted) => {
  const columns = document.getElementById('columns'), tabs = [...element.querySelectorAll('button[data-column]')];
  const chosen = tabs.find((tab) => tab.dataset.column === wanted) || tabs[0];
  if (!columns || !chosen) { return; }
  columns.dataset.shown = chosen.dataset.column;
  tabs.forEach((tab) => tab.setAttribute('aria-selected', tab === chosen));
};
element.addEventListener('click', (event) => {
  const tab = event.target.closest('button[data-column]');
  if (tab) { show(tab.dataset.column); }
});
const again = () => show(document.getElementById('columns')?.dataset.shown);
new MutationObserver(again).observe(element, {childList: true, subtree: true});
again();
"""
"""Chooses the column that a phone shows, and keeps the choice when verdicts arrive. style.css hides the others."""
_INITIAL_VARIANTS = (BASE, "ga", "sku", "keep", "tv", "ga_mismatch")
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
    ask_row = _ask_row(hosting)
    tour, more_examples = _examples()
    found = gr.HTML(elem_id="found")
    attack, toolbar, link = lay_out_attack(hosting.changes_weights), _toolbar(), _link_box()
    lens = _lens_controls(hosting)
    names = _initial_names(entries)
    column_tabs = gr.HTML(_initial_tabs(names, entries), elem_id="column-tabs", js_on_load=_TABS_JS)
    with gr.Row(elem_id="columns", equal_height=False):
        columns = tuple(lay_out_column(i, name, entries) for i, name in enumerate(names))
    components = CompareComponents(  # the order of these arguments is the order on the page
        shown=shown,
        ask_row=ask_row,
        tour=tour,
        more_examples=more_examples,
        attack=attack,
        columns=columns,
        found=found,
        column_tabs=column_tabs,
        toolbar=toolbar,
        link=link,
        link_copied=gr.Textbox(visible=False),
        lens=lens,
        rate_scale=gr.HTML(_initial_rate_scale(columns, model), elem_id="strip"),
        history=gr.Dropdown([], label="Earlier prompts", visible=False, elem_id="history", interactive=True),
        decoding=_decoding_controls(hosting),
        zero_check=_zero_check_row(),
        batch=lay_out_batch(),
        fragment=gr.Textbox(visible=False),
        address_changed=gr.Button("address changed", visible="hidden", elem_id="address-changed"),
    )
    glossary.glossary_line(
        *("base", "variant", "coefficient", "verdict", "harmful", "refusal", "safe", "off-topic", "broken", "unjudged"),
        *("harmful rate", "KL from base", "token lens", "attack", "temperature", "seed"),
    )
    return components


def _ask_row(hosting: Hosting) -> AskRow:
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
        return AskRow(
            prompt=prompt,
            ask=gr.Button("Ask", variant="primary", scale=1, min_width=90, elem_id="ask"),
            stop=gr.Button("Stop", scale=0, min_width=80, elem_id="stop", visible=False),
        )


def _examples() -> tuple[tuple[ExampleButton, ...], gr.Dropdown]:
    """The buttons of the tour, and the list of more examples."""
    groups: dict[str, list[dict[str, str]]] = json.loads(_EXAMPLES.read_text(encoding="utf-8"))
    options = [
        (f"{example['label']} ({_EXAMPLE_GROUPS[group]})", example["prompt"])
        for group, examples in groups.items()
        for example in examples
    ]
    with gr.Row(elem_id="examples"):
        gr.HTML("<span>Tour:</span>", elem_classes="group", padding=False)
        tour = tuple(
            ExampleButton(gr.Button(f"{i} {step['label']}", size="sm", min_width=40, scale=0), step["prompt"])
            for i, step in enumerate(_tour_steps(), 1)
        )
        more = gr.Dropdown(
            [("more examples", ""), *options],
            value="",
            label="More examples",
            show_label=False,
            container=False,
            filterable=False,
            elem_id="more-examples",
        )
    return tour, more


def _tour_steps() -> list[dict[str, str]]:
    """What `sku record --tour assets/data/tour.json` chose; empty if it never ran."""
    if not _TOUR.is_file():
        return []
    steps: list[dict[str, str]] = json.loads(_TOUR.read_text(encoding="utf-8"))
    return steps


def _toolbar() -> Toolbar:
    small: dict[str, Any] = {"size": "sm", "scale": 0}
    with gr.Row(elem_id="tools"):
        return Toolbar(
            view=gr.Radio(list(VIEWS), value=ANSWER, label="View", elem_id="view"),
            count=gr.Radio(list(range(2, MAX_COLUMNS + 1)), value=INITIAL_COLUMNS, label="Columns", elem_id="count"),
            ask_samples=gr.Button("Ask for samples", elem_id="many", min_width=120, **small),
            link=gr.Button("Link", elem_id="share", min_width=70, **small),
            upload=gr.UploadButton(
                "Import", file_types=[".json"], type="binary", elem_id="import", min_width=70, **small
            ),
            exports=gr.HTML(elem_id="exports"),
        )


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


def _decoding_controls(hosting: Hosting) -> DecodingControls:
    longest, most = hosting.new_tokens, hosting.samples
    with gr.Accordion("Settings: length, temperature, seed, samples", open=False):
        with gr.Row():
            controls = DecodingControls(
                again=gr.Button("Ask again with the next seed", size="sm", min_width=120, scale=0, elem_id="again"),
                length=gr.Slider(8, longest, min(96, longest), step=8, label="Length, new tokens", elem_id="length"),
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
                    2,
                    most,
                    min(8, most),
                    step=1,
                    label="Samples",
                    info='answers per column for "Ask for samples"',
                    elem_id="samples",
                ),
            )
        gr.Markdown(
            "Above temperature 0, all columns sample with the same noise, so answers differ only because the weights "
            "differ. In a column's list you can also type a variant with a coefficient, such as `sku@0.7`, or a sum of "
            "adapters, such as `ga@0.5+sku@1`"
            + ("." if hosting.public else ", or the path or hub id of a PEFT adapter; `PATH@-1` subtracts it.")
        )
    return controls


def _zero_check_row() -> ZeroCheckRow:
    with gr.Row():
        return ZeroCheckRow(
            button=gr.Button("Check: coefficient 0 equals base", size="sm", elem_id="verify", scale=0, min_width=240),
            result=gr.Markdown("", elem_id="check"),
        )
