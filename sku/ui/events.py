"""What all event handlers share: the types of their inputs and outputs, and the queue settings of events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from sku.core.text_lines import decode_text

Values = Mapping[Any, Any]
"""Maps each component to its value. A handler gets this when its inputs are a set."""
Updates = dict[Any, Any]
"""Maps components to their new values or updates. A handler returns this; all other components stay as they are."""

UNCHANGED: Updates = gr.skip()
"""Leaves every component as it is. Gradio does not accept an empty dict for this."""

QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
"""For events without a public endpoint and without a progress display."""
AT_ONCE: dict[str, Any] = QUIET | {"queue": False}
"""For events that do not use the model. They skip the queue, because a slider sends many of them per second."""
QUESTIONS_AT_ONCE = 24
"""Questions that are answered together. Gradio has 40 threads, and each of these questions holds one."""
DECODING_QUEUE: dict[str, Any] = {"concurrency_id": "decoding", "concurrency_limit": QUESTIONS_AT_ONCE}
"""For every event that uses the model. All of them share one queue."""
STREAMING: dict[str, Any] = QUIET | DECODING_QUEUE | {"trigger_mode": "multiple"}
"""For events that stream answers. A new event starts at once, and the older one stops writing."""


NO_FILE = "no file came with the upload; choose one"


def chosen_texts(value: Any) -> list[str]:
    """What is chosen in a list of several; what no browser sends, such as a number, counts as nothing chosen."""
    return [one for one in value if isinstance(one, str)] if isinstance(value, (list, tuple)) else []


def uploaded_text(content: Any) -> str:
    """The text of an uploaded file whose bytes a component holds.

    Raises:
        ValueError: if no file came, or it is not text in UTF-8.
    """
    if not isinstance(content, bytes):
        raise ValueError(NO_FILE)
    return decode_text(content, "this file")
