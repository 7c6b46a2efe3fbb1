"""Messages for visitors. Gradio shows them as HTML, so all text is escaped here: it may come from a link or a file."""

from __future__ import annotations

import html
import logging

import gradio as gr

from sku.core.errors import error_line, shorten_line

_LOG = logging.getLogger(__name__)


def refusal(reason: object, title: str) -> gr.Error:
    """The exception that refuses what a visitor asked for. It logs one line and no traceback.

    Args:
        reason: an exception or a text that says what came, what was wanted and what to do.
        title: a few words that say what did not happen.
    """
    _LOG.info("%s: %s", title, str(reason)[:300])
    return gr.Error(escaped(reason), title=title, print_exception=False)


def warn(reason: object, title: str) -> None:
    """Show a warning."""
    gr.Warning(escaped(reason), title=title)


def inform(text: object, title: str = "Info") -> None:
    """Show a message."""
    gr.Info(escaped(text), title=title)


def escaped(text: object) -> str:
    """The text, so that none of it becomes an element of the page. The middle of a very long text is left out."""
    line = error_line(text) if isinstance(text, Exception) else shorten_line(str(text))
    return html.escape(line, quote=False)
