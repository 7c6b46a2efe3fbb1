"""A session that is live while the weights can be had, and shows recorded answers if loading failed."""

from __future__ import annotations

import dataclasses

from sku.serving.passing_session import PassingSession
from sku.serving.session import Session, SessionStatus


class FallbackSession(PassingSession):
    """Passes every call to the live session, or to the recorded one while the live one has an error."""

    def __init__(self, live: Session, recorded: Session) -> None:
        self._live, self._recorded = live, recorded

    @property
    def answering(self) -> Session:
        """The live session, or the recorded one."""
        return self._recorded if self._live.status.error and self._recorded.model_name else self._live

    @property
    def status(self) -> SessionStatus:
        """That of the session which answers, with the live one's error as the reason if it is the recorded one."""
        found = self.answering.status
        if found.mode == "recorded":
            return dataclasses.replace(found, fallback_reason=self._live.status.error or "")
        return found
