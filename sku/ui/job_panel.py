"""What the panels that start background measurements share: cancelling and resuming the newest job of a visitor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from sku.serving.jobs import JobManager
from sku.ui.hosting.access import Access
from sku.ui.hosting.gate import Visitor
from sku.ui.hosting.rate_limit import RateLimited
from sku.ui.messages import refusal

REFUSED = (ValueError, RuntimeError, OSError, RateLimited)
"""What a panel shows as a message instead of an error of the page."""


class JobButtons:
    """Handlers of the buttons Cancel and Resume."""

    def __init__(self, access: Access, jobs: JobManager[Any], allow: Callable[[Visitor], None]) -> None:
        """Make the handlers.

        Args:
            access: knows the visitor.
            jobs: the jobs of the panel.
            allow: raises an error if the visitor may not run such jobs. It counts nothing: the start was counted.
        """
        self.access, self.jobs, self.allow = access, jobs, allow

    def cancel(self, request: gr.Request) -> None:
        """Cancel the running job."""
        try:
            self.jobs.cancel_live(self.access.owner(request))
        except ValueError as error:
            raise refusal(error, "Not cancelled") from error

    def resume(self, request: gr.Request) -> None:
        """Resume the newest job."""
        owner = self.access.owner(request)
        try:
            newest = next((job.name for job in self.jobs.all(owner)), "")
            self.jobs.read(newest, owner)
            self.allow(self.access.visitor(request))
            self.jobs.resume(newest, owner)
        except REFUSED as error:
            raise refusal(error, "Not resumed") from error
