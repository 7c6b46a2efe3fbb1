"""The proof under Compare: coefficient 0 is the base, computed while one looks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from sku.core.variants import BASE
from sku.serving.session import Session
from sku.serving.variant_catalog import CatalogEntry
from sku.ui.hosting.gate import Gate
from sku.ui.hosting.rate_limit import RateLimited
from sku.ui.hosting.visitors import visitor_of


def zero_check_handler(session: Session, gate: Gate, choices: Callable[[gr.Request], list[CatalogEntry]]) -> Any:
    """From prompt and variants to a line a variant: its largest logit difference from base."""

    def check(request: gr.Request, prompt: str, *names: str) -> str:
        known = {choice.name for choice in choices(request)} - {BASE}
        lines = []
        try:
            asked = prompt if isinstance(prompt, str) and prompt.strip() else "What is unlearning?"
            text, _ = gate.given(visitor_of(request, gate.hosting.proxy), asked, "")
            for name in dict.fromkeys(name for name in names if name in known):
                difference = session.zero_difference(name, text.strip()[:500])
                lines.append(f"{name} at coefficient 0 against base: largest logit difference {difference:g}")
        except (ValueError, OSError, RateLimited) as error:
            raise gr.Error(str(error), title="Not checked") from error
        return "  \n".join(lines) or "Only the base is shown; choose another variant to check."

    return check
