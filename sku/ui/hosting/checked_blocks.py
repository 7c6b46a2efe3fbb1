"""Gradio's page, which refuses posted values that no component of it could have sent, in one line.

Gradio itself prints a traceback with all posted values for each of them, so that a stranger could fill the log.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from sku.ui.messages import refusal

_WRONG_CALL = "This is not a call that the page makes; load the page again."


class CheckedBlocks(gr.Blocks):  # type: ignore[misc]
    """Blocks whose values are checked before a handler gets them."""

    async def preprocess_data(self, *arguments: Any, **named: Any) -> Any:
        """Convert the posted values as gradio does.

        Raises:
            gr.Error: if a component cannot take its value. No traceback is printed.
        """
        try:
            return await super().preprocess_data(*arguments, **named)
        except gr.Error as error:
            raise refusal(error.message, "Not done") from error
        except Exception as error:  # of the components: there is no list of what they raise
            raise refusal(_WRONG_CALL, "Not done") from error
