"""The frame of the page: theme, header, tabs. Each tab builds itself; this module only puts them together."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr
import psutil
from starlette.middleware import Middleware

from sku.core.storage import ASSETS
from sku.judges.protocol import JudgeCard
from sku.serving.session import Session
from sku.serving.variant_catalog import CatalogEntry
from sku.ui import about, api, clickable_plot
from sku.ui.compare import columns
from sku.ui.compare import tab as compare_tab
from sku.ui.hosting.gate import Gate
from sku.ui.hosting.middleware import HostingMiddleware
from sku.ui.hosting.visitors import visitor_of
from sku.ui.tradeoff import tab as tradeoff_tab
from sku.ui.train import tab as train_tab

# The system's theme holds until a visitor chooses; the choice stays in their browser.
_THEME_KEPT = """() => {
  const chosen = localStorage.getItem('sku-theme');
  if (chosen) { document.body.classList.toggle('dark', chosen === 'dark'); }
}"""
_THEME_TURNED = """() => {
  const dark = document.body.classList.toggle('dark');
  localStorage.setItem('sku-theme', dark ? 'dark' : 'light');
}"""
_QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
STYLE_SHEET = ASSETS / "style.css"
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
    # contrast AA on white: gradio's own are a little too light
    block_info_text_color="*neutral_600",
    block_info_text_color_dark="*neutral_400",
    block_label_text_color="*neutral_600",
    block_title_text_color="*neutral_700",
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_dark="*primary_700",
)


def build_page(session: Session, cards: Sequence[JudgeCard] = (), gate: Gate | None = None) -> gr.Blocks:
    """The whole page for one session.

    Args:
        session: answers what is asked.
        cards: of the judges, for About.
        gate: what visitors may do; without one, what a page on one's own machine allows.
    """
    gate = gate or Gate()

    def choices(request: gr.Request) -> list[CatalogEntry]:
        return session.choices(gate.owner(visitor_of(request, gate.hosting.proxy)))

    with gr.Blocks(
        title="sku: make a model forget, see what it costs", fill_width=True, delete_cache=(3600, 3600)
    ) as page:
        with gr.Row(elem_id="header"):
            gr.HTML("<h1>sku</h1><span>make a model forget, see what it costs</span>", elem_id="title")
            health = gr.HTML(_health(session), elem_id="health")
            dark = gr.Button("◐ theme", size="sm", elem_id="theme", min_width=80, scale=0)
        with gr.Tabs() as tabs:
            with gr.Tab("Compare", id="compare") as comparing:
                wiring = compare_tab.build_compare(session, gate)
            with gr.Tab("Pipeline", id="pipeline"):
                jobs = train_tab.build_train(gate)
            with gr.Tab("Trade-off", id="trade-off") as trade_tab:
                variants, sliders = zip(*((panel.variant, panel.slider) for panel in wiring.panels), strict=True)
                trade = tradeoff_tab.build_tradeoff(
                    gate, choices, [wiring.count, *variants, *sliders], session.model_name
                )
            with gr.Tab("About", id="about"):
                about.build_about(cards)
        api.add_endpoints(session, gate, jobs)
        clock = gr.Timer(1)
        clock.tick(
            lambda: (_health(session), gr.Timer(5 if session.status.ready else 1)),
            None,
            [health, clock],
            queue=False,
            **_QUIET,
        )
        for trigger in (page.load, comparing.select):
            trigger(wiring.refresh, None, list(variants), **_QUIET)
        page.load(wiring.restore, wiring.fragment, wiring.restored, js="() => window.location.hash", **_QUIET)
        trade_tab.select(trade.look, trade.inputs, trade.outputs, **_QUIET)
        trade_tab.select(trade.refresh, None, trade.names, **_QUIET)
        for i, opener in enumerate(trade.openers, 1):
            _open_in(choices, tabs, wiring, i, opener.click, trade.point)
        mark = gr.State(None)
        _open_in(
            choices,
            tabs,
            wiring,
            2,
            trade.picture.point_click(clickable_plot.clicked, None, mark, **_QUIET).success,
            mark,
        )

        def leave(request: gr.Request) -> None:
            wiring.leave(str(request.session_hash))

        page.unload(leave)
        page.load(None, js=_THEME_KEPT)
        dark.click(None, js=_THEME_TURNED)
    return page


def _open_in(
    choices: Callable[[gr.Request], list[CatalogEntry]],
    tabs: gr.Tabs,
    wiring: compare_tab.CompareTab,
    i: int,
    event: Callable[..., Any],
    point: gr.Dropdown | gr.State,
) -> None:
    """Let an event put the chosen point into column `i` of Compare, show it and ask it."""
    panel = wiring.panels[i]

    def place(request: gr.Request, text: str | None, count: int) -> list[Any]:
        try:
            return [gr.Tabs(selected="compare"), max(count, i + 1), *columns.place_variant(choices(request), text)]
        except ValueError as error:
            raise gr.Error(str(error), title="Not opened") from error

    shown = [tabs, wiring.count, panel.variant, panel.slider, panel.heading]
    event(place, [point, wiring.count], shown, **_QUIET).success(
        wiring.asking[i], wiring.inputs, [panel.answer, panel.facts], trigger_mode="multiple", **_QUIET
    )


def launch(page: gr.Blocks, host: str | None, port: int | None, gate: Gate | None = None, **more: Any) -> Any:
    """Serve `page` until it is stopped; returns what gradio's `launch` does.

    Raises:
        OSError: if the port is taken, or the address is not this machine's.
    """
    gate = gate or Gate()
    hosting = gate.hosting
    page.queue(max_size=hosting.queue, default_concurrency_limit=4, api_open=False)
    settings: dict[str, Any] = {
        "server_name": host,
        "server_port": port,
        "theme": _THEME,
        "css_paths": [STYLE_SHEET],
        "ssr_mode": False,
        "run_history": False,
        "enable_monitoring": False,
        "max_file_size": f"{hosting.upload_kilobytes}kb",
        "footer_links": ["gradio"],
        "state_session_capacity": 500,
        "show_error": not hosting.public,  # what was not foreseen may name files of the machine
        "strict_cors": True,
        "app_kwargs": {"middleware": [Middleware(HostingMiddleware, gate=gate)]},
    }
    try:
        return page.launch(**settings | more)
    except OSError as error:
        if "empty port" in str(error):  # gradio's advice names its own parameters
            raise OSError(f"port {port or 'from 7860 to 7959'} is taken; choose another with --port") from error
        raise


def _health(session: Session) -> str:
    name, status = html.escape(session.model_name), session.status
    reason = html.escape(status.fallback_reason[:200])
    if status.mode == "recorded":
        title = "real answers, written before: the weights are not loaded"
        return f"<span class='chip' title='{title}'>{name} · recorded</span> {reason}"
    if status.error:
        return f"<span class='chip bad'>{name} · asleep</span> {html.escape(status.error)}"
    if not status.ready:
        return f"<span class='chip'>{name} · waking</span> {html.escape(status.progress)}"
    memory = psutil.Process().memory_info().rss / 1e9
    chip = f"<span class='chip good' title='memory of this app'>{name} · live · {memory:.1f} GB</span>"
    return f"{chip} {reason}"
