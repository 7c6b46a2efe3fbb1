"""The frame of the page: theme, header, tabs. Each tab builds itself; this module only puts them together."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import psutil

from sku.judging.protocol import Card
from sku.session import LiveSession
from sku.ui import about, compare, pipeline, tradeoff

STYLE = Path(__file__).parents[2] / "assets" / "style.css"
_THEME = gr.themes.Default(
    primary_hue=gr.themes.colors.blue,
    neutral_hue=gr.themes.colors.gray,
    radius_size=gr.themes.sizes.radius_sm,
    font=("system-ui", "sans-serif"),
    font_mono=("ui-monospace", "monospace"),
).set(
    block_border_width="0px",
    block_shadow="none",
    block_background_fill="transparent",
    block_background_fill_dark="transparent",
)


def build_page(session: LiveSession, cards: Sequence[Card] = ()) -> gr.Blocks:
    """The whole page for one session.

    Args:
        session: answers what is asked.
        cards: of the judges, for About.
    """
    with gr.Blocks(
        title="sku: make a model forget, see what it costs", fill_width=True, delete_cache=(3600, 3600)
    ) as page:
        with gr.Row(elem_id="header"):
            gr.HTML("<h1>sku</h1><span>make a model forget, see what it costs</span>", elem_id="title")
            health = gr.HTML(_health(session), elem_id="health")
            dark = gr.Button("◐ theme", size="sm", elem_id="theme", min_width=80, scale=0)
        with gr.Tabs() as tabs:
            with gr.Tab("Compare", id="compare") as compare_tab:
                wiring = compare.build(session)
            with gr.Tab("Pipeline", id="pipeline"):
                pipeline.build()
            with gr.Tab("Trade-off", id="trade-off") as trade_tab:
                variants, sliders = zip(*((panel.variant, panel.slider) for panel in wiring.panels), strict=True)
                trade = tradeoff.build([*variants, *sliders])
            with gr.Tab("About", id="about"):
                about.build(cards)
        clock = gr.Timer(1)
        clock.tick(
            lambda: (_health(session), gr.Timer(5 if session.ready else 1)),
            None,
            [health, clock],
            show_progress="hidden",
            api_visibility="private",
            concurrency_limit=None,
        )
        refresh = lambda: compare.refreshed(session)  # noqa: E731 (one event, two triggers)
        for trigger in (page.load, compare_tab.select):
            trigger(refresh, None, list(variants), show_progress="hidden", api_visibility="private")
        trade_tab.select(trade.look, trade.inputs, trade.outputs, show_progress="hidden", api_visibility="private")
        for i, opener in enumerate(trade.openers, 1):
            _open_in(session, tabs, wiring, i, trade.point, opener)

        def leave(request: gr.Request) -> None:
            wiring.leave(str(request.session_hash))

        page.unload(leave)
        dark.click(None, js="() => document.body.classList.toggle('dark')")
    return page


def _open_in(
    session: LiveSession, tabs: gr.Tabs, wiring: compare.Wiring, i: int, point: gr.Dropdown, opener: gr.Button
) -> None:
    """Let a button put the chosen point into column `i` of Compare, show it and ask it."""
    panel = wiring.panels[i]

    def place(text: str | None) -> list[Any]:
        try:
            return [gr.Tabs(selected="compare"), *compare.placed(session, text)]
        except ValueError as error:
            raise gr.Error(str(error), title="Not opened") from error

    shown = [tabs, panel.variant, panel.slider, panel.heading]
    opener.click(place, point, shown, show_progress="hidden", api_visibility="private").success(
        wiring.asking[i],
        wiring.inputs,
        [panel.answer, panel.facts],
        show_progress="hidden",
        trigger_mode="multiple",
        api_visibility="private",
    )


def launch(page: gr.Blocks, host: str | None, port: int | None) -> None:
    """Serve `page` until it is stopped."""
    page.queue(max_size=32, default_concurrency_limit=4)
    page.launch(
        server_name=host,
        server_port=port,
        theme=_THEME,
        css_paths=[STYLE],
        ssr_mode=False,
        run_history=False,
        enable_monitoring=False,
        max_file_size="1mb",
        footer_links=["gradio"],
        state_session_capacity=500,
        show_error=True,
    )


def _health(session: LiveSession) -> str:
    if session.error:
        return f"<span class='chip bad'>{html.escape(session.model_name)} · asleep</span> {html.escape(session.error)}"
    if not session.ready:
        return f"<span class='chip'>{html.escape(session.model_name)} · waking</span> {html.escape(session.doing)}"
    memory = psutil.Process().memory_info().rss / 1e9
    return f"<span class='chip good'>{html.escape(session.model_name)} · live · {memory:.1f} GB</span>"
