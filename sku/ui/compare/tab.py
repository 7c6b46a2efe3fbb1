"""Compare: one prompt, two to six variants, a coefficient slider for each; how they differ; a link, a file.

Model text only ever goes into text boxes, which show it as text, or is escaped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import gradio as gr

from sku.core.storage import ASSETS
from sku.serving.session import Session
from sku.serving.variant_catalog import CatalogEntry
from sku.ui import glossary
from sku.ui.compare import badges, columns, restore, share, views, zero_check
from sku.ui.compare.ask_handlers import DECODING_QUEUE, MAX_COLUMNS, AskHandlers, Controls, ShownAnswers
from sku.ui.compare.columns import INITIAL_COLUMNS, ColumnComponents
from sku.ui.compare.views import ANSWER, LENS, TYPED, VIEWS
from sku.ui.hosting.gate import Gate
from sku.ui.hosting.visitors import visitor_of

_EXAMPLES = ASSETS / "data" / "examples.json"
_GROUPS = {"harmful": "harmful", "normal": "normal", "sounds_harmful": "only sounds harmful"}
_SHOWN_EXAMPLES = 3
_OPEN_LINK = """(fragment) => {
  const url = new URL(window.location.href); url.hash = fragment; history.replaceState(null, '', url);
  if (navigator.clipboard) navigator.clipboard.writeText(url.href).catch(() => {});
  return url.href;
}"""
_QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
_AT_ONCE = _QUIET | {"queue": False}
"""For what asks no model: a slider sends many of these a second."""


class CompareTab(NamedTuple):
    """What the frame of the page connects."""

    panels: list[ColumnComponents]
    count: gr.Radio
    asking: list[Callable[..., Iterator[Any]]]
    """Each asks one column alone, from `inputs` to its answer and facts; silent while there is no prompt."""
    inputs: list[Any]
    refresh: Callable[..., list[Any]]
    """Updates of the columns' lists: what was trained since is there, chosen values are kept."""
    restore: Callable[..., list[Any]]
    """From a link's fragment to `restored`."""
    fragment: gr.Textbox
    restored: list[Any]
    leave: Callable[[str], None]
    """To be told the session hash of a visitor who left."""


def build_compare(session: Session, gate: Gate) -> CompareTab:
    """Lay the tab out and wire it."""
    hosting = gate.hosting
    asker = AskHandlers(session, gate)

    def choices(request: gr.Request) -> list[CatalogEntry]:
        return session.choices(gate.owner(visitor_of(request, hosting.proxy)))

    shown = gr.State(ShownAnswers)
    with gr.Row(elem_id="ask-row"):
        prompt = gr.Textbox(
            placeholder="Ask all models the same thing ...",
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
        again = gr.Button("Again", scale=0, min_width=80, elem_id="again")
        stop = gr.Button("Stop", scale=0, min_width=80, elem_id="stop")
    examples = _examples()
    everything = columns.build_columns(session.choices("" if hosting.public else None))
    with gr.Row(elem_id="tools"):
        view = gr.Radio(list(VIEWS), value=ANSWER, label="View", elem_id="view")
        count = gr.Radio(list(range(2, MAX_COLUMNS + 1)), value=INITIAL_COLUMNS, label="Columns", elem_id="count")
        many = gr.Button("Ask for samples", size="sm", elem_id="many", min_width=120, scale=0)
        share_button = gr.Button("Link", size="sm", elem_id="share", min_width=70, scale=0)
        load = gr.UploadButton(
            "Import", file_types=[".json"], type="binary", size="sm", elem_id="import", min_width=70, scale=0
        )
        exports = gr.HTML(elem_id="exports")
    link = gr.Textbox(
        label="Link to this comparison (copied; the prompt stands behind the #, so no server sees it)",
        visible=False,
        interactive=False,
        elem_id="link",
        buttons=["copy"],
    )
    with gr.Row(visible=False, elem_id="lens-row") as lens_row:
        source = gr.Dropdown(
            ["column 1", *(f"column {i + 1}" for i in range(1, MAX_COLUMNS)), TYPED],
            value="column 1",
            label="Answer under the lens",
            info="its tokens, coloured by how each variant changed their log-probability from base",
            elem_id="lens-source",
        )
        typed = gr.Textbox(
            label="Or type an answer", max_length=hosting.prompt_characters, elem_id="lens-text", scale=3
        )
    standing = [panel.variant.value for panel in everything], [panel.slider.value for panel in everything]
    here = gr.HTML(views.rate_scale_update(INITIAL_COLUMNS, *standing[0], *standing[1]), elem_id="strip")
    history = gr.Dropdown([], label="Asked on this page", visible=False, elem_id="history", interactive=True)
    with gr.Accordion("Settings: length, temperature, seed, samples", open=False):
        with gr.Row():
            length = gr.Slider(
                8, hosting.new_tokens, min(96, hosting.new_tokens), step=8, label="Length, new tokens", elem_id="length"
            )
            temperature = gr.Slider(0, 2, 0, step=0.1, label="Temperature", info="0 is greedy", elem_id="temperature")
            seed = gr.Number(
                0, precision=0, minimum=0, maximum=2**31 - 1, label="Seed", info="shared by all columns", elem_id="seed"
            )
            samples = gr.Slider(
                2, hosting.samples, min(8, hosting.samples), step=1, label="Samples", info="for: Ask for samples"
            )
        gr.Markdown(
            "With a temperature every column draws from the same noise, so answers differ because the weights do."
        )
    with gr.Row():
        verify = gr.Button("Check: coefficient 0 equals base", size="sm", elem_id="verify", scale=0, min_width=240)
        check = gr.Markdown("", elem_id="check")
    glossary.glossary_line(
        *("base", "variant", "coefficient", "verdict", "harmful", "refusal", "safe", "broken", "unjudged"),
        *("harmful rate", "KL from base", "token lens", "temperature", "seed"),
    )
    fragment = gr.Textbox(visible=False)

    variants = [panel.variant for panel in everything]
    sliders = [panel.slider for panel in everything]
    inputs = [shown, prompt, length, temperature, seed, samples, count, *variants, *sliders]
    outputs = [part for panel in everything for part in (panel.answer, panel.facts)]
    looks = [panel.view for panel in everything]
    picks = [panel.pick for panel in everything]
    streaming: dict[str, Any] = _QUIET | DECODING_QUEUE | {"trigger_mode": "multiple"}

    def after(request: gr.Request, shown: ShownAnswers, kind: str, source: str, typed: str, *values: Any) -> list[Any]:
        """Everything that follows from what the columns show: views, samples to pick, exports, history."""
        asked = Controls.of("", *values)
        comparison = shown.comparison(asked.shown())
        return [
            *views.view_updates(partial(asker.lens, request, asked), shown, asked, kind, source, typed),
            *(views.sample_choices(shown, i) for i in range(MAX_COLUMNS)),
            share.download_links(comparison) if comparison else "",
            gr.Dropdown(choices=shown.history, value=None, visible=len(shown.history) > 1),
        ]

    def then(event: Any) -> None:
        event.then(after, [shown, view, source, typed, *inputs[2:]], [*looks, *picks, exports, history], **_QUIET)

    ask_all = asker.handler(range(MAX_COLUMNS))
    for trigger in (ask.click, prompt.submit):
        then(trigger(ask_all, inputs, outputs, **streaming))
    then(again.click(_next_seed, [seed, temperature], seed, **_QUIET).then(ask_all, inputs, outputs, **streaming))
    sampled = asker.handler(range(MAX_COLUMNS), many=True)
    then(many.click(_warm, temperature, temperature, **_QUIET).then(sampled, inputs, outputs, **streaming))
    for button, text in examples:
        then(button.click(lambda text=text: text, None, prompt, **_QUIET).then(ask_all, inputs, outputs, **streaming))
    asking = [asker.handler([i], silent=True) for i in range(MAX_COLUMNS)]
    for i, panel in enumerate(everything):
        mine = [panel.answer, panel.facts]
        then(panel.slider.release(asking[i], inputs, mine, **streaming))
        panel.slider.change(_with_choices(choices, _moved), [panel.variant, panel.slider], panel.heading, **_AT_ONCE)
        then(
            panel.variant.input(
                _with_choices(choices, columns.choose_variant), panel.variant, [panel.slider, panel.heading], **_QUIET
            ).then(asking[i], inputs, mine, **streaming)
        )
        panel.pick.input(views.sample_handler(i), [shown, panel.pick], mine, **_AT_ONCE)
    for move in (*(slider.change for slider in sliders), *(variant.change for variant in variants), count.change):
        move(views.rate_scale_update, [count, *variants, *sliders], here, **_AT_ONCE)

    count.change(_resize, count, [panel.column for panel in everything], **_QUIET).then(
        asker.missing, inputs, outputs, **streaming
    )
    then(view.change(lambda kind: gr.Row(visible=kind == LENS), view, lens_row, **_QUIET))
    then(source.input(lambda: None, None, None, **_QUIET))
    then(typed.submit(lambda: TYPED, None, source, **_QUIET))
    history.input(lambda text: text, history, prompt, **_AT_ONCE)

    def stop_all(request: gr.Request) -> None:
        asker.turns.stop(str(request.session_hash), range(MAX_COLUMNS))

    stop.click(stop_all, None, None, queue=False, api_visibility="private")
    verify.click(
        zero_check.zero_check_handler(session, gate, choices),
        [prompt, *variants],
        check,
        api_visibility="private",
        **DECODING_QUEUE,
    )
    share_button.click(restore.link_handler(gate, choices), inputs[1:], link, **_QUIET).success(
        None, link, link, js=_OPEN_LINK
    ).then(lambda: gr.Textbox(visible=True), None, link, **_QUIET)
    restored = [prompt, length, temperature, seed, samples, count]
    restored += [part for panel in everything for part in (panel.column, panel.variant, panel.slider, panel.heading)]

    def reopen(request: gr.Request, text: Any) -> list[Any]:
        return restore.restore_link(text, choices(request), hosting.new_tokens, hosting.samples, len(restored))

    def replay(request: gr.Request, shown: ShownAnswers, given: bytes) -> list[Any]:
        return restore.replay_file(shown, given, choices(request), hosting.new_tokens, hosting.samples)

    then(load.upload(replay, [shown, load], [*restored, *outputs], **_QUIET))

    def refresh(request: gr.Request) -> list[Any]:
        entries = columns.variant_options(choices(request))
        return [gr.Dropdown(choices=entries) for _ in range(MAX_COLUMNS)]

    return CompareTab(everything, count, asking, inputs, refresh, reopen, fragment, restored, asker.turns.leave)


def _examples() -> list[tuple[gr.Button, str]]:
    buttons = []
    with gr.Row(elem_id="examples"):
        for group, prompts in json.loads(_EXAMPLES.read_text(encoding="utf-8")).items():
            gr.HTML(f"<span>{_GROUPS[group]}:</span>", elem_classes="group", padding=False)
            for example in prompts[:_SHOWN_EXAMPLES]:
                buttons.append((gr.Button(example["label"], size="sm", min_width=40, scale=0), example["prompt"]))
    return buttons


def _next_seed(seed: float | None, temperature: float) -> int:
    """Greedy answers are the same for every seed, so only sampling moves on."""
    return int(seed or 0) + (1 if temperature else 0)


def _warm(temperature: float) -> float:
    """Greedy samples would all be the same."""
    return temperature or 0.8


def _moved(choices: Sequence[CatalogEntry], name: Any, coefficient: Any) -> str:
    return badges.variant_heading(columns.find_entry(choices, name), float(coefficient))


def _with_choices(choices: Callable[[gr.Request], list[CatalogEntry]], then: Callable[..., Any]) -> Callable[..., Any]:
    def handler(request: gr.Request, *values: Any) -> Any:
        return then(choices(request), *values)

    return handler


def _resize(count: int) -> list[Any]:
    return [gr.Column(visible=i < count) for i in range(MAX_COLUMNS)]
