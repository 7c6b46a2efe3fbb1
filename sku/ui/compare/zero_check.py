"""The check at the bottom of Compare: it computes, on request, that coefficient 0 equals the base."""

from __future__ import annotations

from collections.abc import Callable

import gradio as gr

from sku.core.variants import BASE, parse_variant
from sku.ui.compare.column_variant import offered_entries
from sku.ui.compare.components import CompareComponents
from sku.ui.events import Values
from sku.ui.hosting.access import Access
from sku.ui.hosting.rate_limit import RateLimited
from sku.ui.messages import refusal

_MAX_PROMPT_CHARACTERS = 500
"""The check uses only this much of the prompt."""


def zero_check_handler(components: CompareComponents, access: Access) -> Callable[[gr.Request, Values], str]:
    """Return a handler that reports, one line per adapter, the largest logit difference from the base."""

    def check(request: gr.Request, values: Values) -> str:
        entries = access.entries(request)
        controls = components.read(values)
        own_prompt = controls.prompt if isinstance(controls.prompt, str) and controls.prompt.strip() else ""
        lines = []
        try:
            prompt, _ = access.gate.given(access.visitor(request), own_prompt or "What is unlearning?", "")
            names: dict[str, None] = {}
            for column in controls.columns:
                known = {entry.name for entry in offered_entries(column.variant, entries, access.gate)} - {BASE}
                spec = parse_variant(str(column.variant))
                names |= dict.fromkeys(name for name in spec.names if name in known and spec.server is None)
            for name in names:
                difference = access.session.zero_difference(name, prompt.strip()[:_MAX_PROMPT_CHARACTERS])
                lines.append(
                    f"{name} at coefficient 0 against base: largest logit difference {difference:g}; all "
                    "weights of the base are as they were loaded"
                )
        except (ValueError, OSError, RuntimeError, RateLimited) as error:
            raise refusal(error, "Not checked") from error
        return "  \n".join(lines) or "No column shows an adapter. Choose one to check."

    return check
