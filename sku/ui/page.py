"""The frame of the page: theme, header, and the list of tabs. Each tab builds itself."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import gradio as gr
import psutil
from gradio.route_utils import CustomCORSMiddleware
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
from sku.ui.hosting.checked_blocks import CheckedBlocks
from sku.ui.hosting.gate import Gate
from sku.ui.hosting.middleware import HostingMiddleware
from sku.ui.hosting.visitors import trust_proxies
from sku.ui.robustness.tab import build_robustness
from sku.ui.tab_context import TabContext, TabSpec
from sku.ui.tradeoff.tab import build_tradeoff
from sku.ui.train.tab import build_train

TABS = [
    TabSpec("compare", "Compare", build_compare),
    TabSpec("pipeline", "Pipeline", build_train),
    TabSpec("trade-off", "Trade-off", build_tradeoff),
    TabSpec("robustness", "Robustness", build_robustness),
    TabSpec("about", "About", lambda context, _: build_about(context.cards)),
]
"""The tabs in the order in which they are built. Compare comes first, because other tabs open variants in it."""

# The page follows the system's theme until the visitor chooses one. The browser remembers the choice.
_RESTORE_THEME_JS = """() => {
  const chosen = localStorage.getItem('sku-theme');
  if (chosen) { document.body.classList.toggle('dark', chosen === 'dark'); }
}"""
_TOGGLE_THEME_JS = """() => {
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
    # these reach WCAG AA contrast on white; gradio's own greys are a little too light
    block_info_text_color="*neutral_600",
    block_info_text_color_dark="*neutral_400",
    block_label_text_color="*neutral_600",
    block_title_text_color="*neutral_700",
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_dark="*primary_700",
)


def build_page(session: Session, cards: Sequence[JudgeCard] = (), gate: Gate | None = None) -> gr.Blocks:
    """Build the whole page for one session.

    Args:
        session: answers the visitors' questions.
        cards: the judges' cards, which About shows.
        gate: decides what visitors may do. The default allows what a page on your own machine allows.
    """
    access = Access(session, gate or Gate())
    hosting = access.gate.hosting
    trainings = TrainingJobs(minutes=hosting.training_minutes, days=hosting.keep_days)
    title = "sku: make a model forget, see what it costs"
    with CheckedBlocks(title=title, fill_width=True, delete_cache=(3600, 3600)) as page:
        _add_header(page, session)
        with gr.Tabs() as tabs:
            context = TabContext(page, tabs, access, trainings, cards)
            for spec in TABS:
                with gr.Tab(spec.title, id=spec.id) as tab:
                    spec.build(context, tab)
        api.add_endpoints(access, trainings)
    return page


def _add_header(page: gr.Blocks, session: Session) -> None:
    with gr.Row(elem_id="header"):
        gr.HTML("<h1>sku</h1><span>make a model forget, see what it costs</span>", elem_id="title")
        health = gr.HTML(_health(session), elem_id="health")
        theme = gr.Button("◐ theme", size="sm", elem_id="theme", min_width=80, scale=0)
    clock = gr.Timer(1)

    def refresh_health() -> Updates:
        return {health: _health(session), clock: gr.Timer(5 if session.status.ready else 1)}

    clock.tick(refresh_health, None, {health, clock}, **AT_ONCE)
    page.load(None, js=_RESTORE_THEME_JS)
    theme.click(None, js=_TOGGLE_THEME_JS)


def launch(page: gr.Blocks, host: str | None, port: int | None, gate: Gate | None = None, **more: Any) -> Any:
    """Serve `page` until it is stopped, and return what gradio's `launch` returns.

    Raises:
        OSError: if the port is already in use, or the address does not belong to this machine.
    """
    gate = gate or Gate()
    hosting = gate.hosting
    trust_proxies(hosting.proxies)
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
        "state_session_capacity": 200,  # a visit keeps about 1.4 MB
        "show_error": not hosting.public,  # an unexpected error may name files on this machine
        "strict_cors": True,
        "_frontend": False,  # else gradio asks its own page, and on a busy machine gives up after 3 s and ends
        "app_kwargs": {"middleware": [Middleware(HostingMiddleware, gate=gate)]},
    }
    blocks = not more.pop("prevent_thread_lock", False)
    try:
        launched = page.launch(**settings | more, prevent_thread_lock=True)
        _close_to_other_origins(page)
        if blocks:
            page.block_thread()
        return launched
    except OSError as error:
        if "empty port" in str(error):  # gradio's own message names parameters that our users do not see
            taken = f"port {port} is already in use" if port else "all ports from 7860 to 7959 are already in use"
            raise OSError(f"{taken}; choose another with --port") from error
        raise


def _sentence(text: str) -> str:
    """The text with a full stop at its end."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _close_to_other_origins(page: gr.Blocks) -> None:
    """Remove gradio's CORS headers, so that no other site's script can read from this page with a visitor's cookie.

    Gradio allows every origin to do so, with credentials, unless the page runs on localhost. Its own page and scripts
    outside a browser do not need the headers.
    """
    app = page.app
    app.user_middleware = [one for one in app.user_middleware if one.cls is not CustomCORSMiddleware]
    app.middleware_stack = None  # starlette builds it again at the next request


_ARITHMETIC_MEANINGS = {
    "fp32": "answers are written in fp32",
    "exact": "answers are written with 4-bit weights in fp32 arithmetic, as exact as fp32",
    "quick": "answers are written with 4-bit weights and 8-bit inputs; likelihoods and KL are computed in fp32",
}


def _health(session: Session) -> str:
    """The chip in the header: which model answers, and how far its loading is."""
    name, status = html.escape(session.model_name), session.status
    reason = html.escape(status.fallback_reason[:200])
    if status.mode == "recorded":
        title = "these are real answers that were recorded earlier; the weights are not loaded"
        return f"<span class='chip' title='{title}'>{name} · recorded</span> {reason}"
    if status.error:
        again = "Ask tries to load it again."
        return f"<span class='chip bad'>{name} · not loaded</span> {html.escape(_sentence(status.error))} {again}"
    if not status.ready:
        return f"<span class='chip'>{name} · loading</span> {html.escape(status.progress)}"
    memory = psutil.Process().memory_info().rss / 1e9
    title = f"{_ARITHMETIC_MEANINGS[status.arithmetic]}; the last number is the memory that this app uses"
    chip = f"<span class='chip good' title='{title}'>{name} · live · {status.arithmetic} · {memory:.1f} GB</span>"
    return f"{chip} {reason}"
