"""What the sender of a request may see: who they are, whose runs, which variants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sku.serving.session import Session
from sku.serving.variant_catalog import CatalogEntry
from sku.ui.hosting.gate import Gate, Visitor
from sku.ui.hosting.visitors import visitor_of


@dataclass(frozen=True)
class Access:
    """The session and the gate before it, as handlers need them: for the visitor who sent a request."""

    session: Session
    gate: Gate

    def visitor(self, request: Any) -> Visitor:
        """Who sent `request`, which is gradio's."""
        return visitor_of(request, self.gate.hosting.proxy)

    def owner(self, request: Any) -> str | None:
        """Whose runs they see; None: all."""
        return self.gate.owner(self.visitor(request))

    def entries(self, request: Any) -> list[CatalogEntry]:
        """The variants that they may ask, base first."""
        return self.session.choices(self.owner(request))

    def first_entries(self) -> list[CatalogEntry]:
        """The variants that the page shows before anyone is known: on a public page, nobody's own runs."""
        return self.session.choices("" if self.gate.hosting.public else None)
