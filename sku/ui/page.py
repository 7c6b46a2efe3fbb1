"""The frame of the page: theme, header, and the list of tabs. Each tab builds itself."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import gradio as gr
import psutil
from starlette.middleware import Middleware

from sku.core.storage import ASSETS
from sku.judges.protocol import JudgeCard
from sku.serving.session import Session
from sku.serving.training_jobs import TrainingJobs
from sku.ui import api
from sku.ui.about import build_about
from sku.ui.compare.tab import build_compare
from sku.ui.events import AT_ONCE, Updates
from sku.ui.hosting.access import Access
from sku.ui.hosting.gate import Gate
from sku.ui.hosting.middleware import HostingMiddleware
from sku.ui.tabs import TabContext, TabSpec
from sku.ui.tradeoff.tab import build_tradeoff
from sku.ui.train.tab import build_train

TABS = [
    TabSpec("compare", "Compare", build_compare),
    TabSpec("pipeline", "Pipeline", build_train),
    TabSpec("trade-off", "Trade-off", build_tradeoff),
    TabSpec("about", "About", lambda context, _: build_about(context.cards)),
]
"""In the order in which they are built: Compare comes first, because others open variants in it."""

# The system's theme holds until a visitor chooses; the choice stays in their browser.
_THEME_KEPT = """() => {
  const chosen = localStorage.getItem('sku-theme');
  if (chosen) { document.body.classList.toggle('dark', chosen === 'dark'); }
}"""
_THEME_TURNED = """() => {
  const dark = document.body.classList.toggle('dark');
  localStorage.setItem('sku-theme', dark ? 'dark' : 'light');
}"""
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
    access = Access(session, gate or Gate())
    hosting = access.gate.hosting
    trainings = TrainingJobs(minutes=hosting.training_minutes, days=hosting.keep_days)
    title = "sku: make a model forget, see what it costs"
    with gr.Blocks(title=title, fill_width=True, delete_cache=(3600, 3600)) as page:
        _add_header(page, session)
        with gr.Tabs() as tabs:
            context = TabContext(page, tabs, access, trainings, cards)
            for one in TABS:
                with gr.Tab(one.title, id=one.id) as tab:
                    one.build(context, tab)
        api.add_endpoints(access, trainings)
    return page


def _add_header(page: gr.Blocks, session: Session) -> None:
    with gr.Row(elem_id="header"):
        gr.HTML("<h1>sku</h1><span>make a model forget, see what it costs</span>", elem_id="title")
        health = gr.HTML(_health(session), elem_id="health")
        dark = gr.Button("◐ theme", size="sm", elem_id="theme", min_width=80, scale=0)
    clock = gr.Timer(1)

    def look() -> Updates:
        return {health: _health(session), clock: gr.Timer(5 if session.status.ready else 1)}

    clock.tick(look, None, {health, clock}, **AT_ONCE)
    page.load(None, js=_THEME_KEPT)
    dark.click(None, js=_THEME_TURNED)


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
