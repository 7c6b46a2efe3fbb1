"""What the tabs' events share: the types that handlers take and give, and how events are queued."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

Values = Mapping[Any, Any]
"""Component to its value: what a handler gets when its inputs are a set."""
Updates = dict[Any, Any]
"""Component to its new value or update: what a handler gives. Components that are not named stay as they are."""

UNCHANGED: Updates = gr.skip()
"""Leaves every component as it is; an empty dict is no answer to gradio."""

QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
AT_ONCE: dict[str, Any] = QUIET | {"queue": False}
"""Of events that ask no model: a slider sends many of these a second."""
DECODING_QUEUE: dict[str, Any] = {"concurrency_id": "decoding", "concurrency_limit": 4}
"""Of every event that asks the model: they share one queue."""
STREAMING: dict[str, Any] = QUIET | DECODING_QUEUE | {"trigger_mode": "multiple"}
"""Of events that stream answers: a new one starts at once, and the older one falls silent."""
