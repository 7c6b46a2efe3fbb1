"""Who sent a request, whose runs they may see, and which variants they may ask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sku.serving.session import Session
from sku.serving.variant_catalog import CatalogEntry
from sku.ui.hosting.gate import Gate, Visitor
from sku.ui.hosting.visitors import visitor_of


@dataclass(frozen=True)
class Access:
    """Gives handlers the session and the gate, and looks up what the sender of a request may see."""

    session: Session
    gate: Gate

    def visitor(self, request: Any) -> Visitor:
        """The visitor who sent the gradio `request`."""
        return visitor_of(request)

    def owner(self, request: Any) -> str | None:
        """The owner whose runs the visitor may see; None means all runs."""
        return self.gate.owner(self.visitor(request))

    def entries(self, request: Any) -> list[CatalogEntry]:
        """The variants that the visitor may ask, the base first."""
        return self.session.choices(self.owner(request))

    def first_entries(self) -> list[CatalogEntry]:
        """The variants that the page offers before it knows its visitor. On a public page these include no runs."""
        return self.session.choices("" if self.gate.hosting.public else None)
