"""Identifies the visitor behind a request by a secret cookie and an address.

The cookie alone identifies a visitor: whoever has it sees the runs that were started with it. Only a hash of it is
stored. Gradio's session hash identifies nobody, because the client chooses it.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import gradio as gr

from sku.core.records import digest
from sku.ui.hosting.gate import WITHOUT_COOKIE, Visitor

VISITOR_COOKIE = "sku_visitor"


def visitor_of(request: gr.Request | Any, proxy: bool) -> Visitor:
    """The visitor who sent `request`.

    Args:
        request: the request that gradio passes to a handler.
        proxy: whether to trust X-Forwarded-For.
    """
    forwarded = str(request.headers.get("x-forwarded-for") or "") if proxy else ""
    address = _client_address(forwarded) or str(getattr(request.client, "host", "") or "unknown")
    secret = str(request.cookies.get(VISITOR_COOKIE) or "")
    return Visitor(digest(secret, length=32) if len(secret) >= 32 else f"{WITHOUT_COOKIE}{address}", address)


def _client_address(forwarded: str) -> str:
    """The client's address as the owner's outermost proxy saw it; empty if X-Forwarded-For is empty.

    Each proxy appends the address that it received the request from, and the owner's inner proxies have private
    addresses. The last public address is therefore the client. Everything before it was written by the client itself
    and cannot be trusted.
    """
    addresses = [address.strip() for address in forwarded.split(",") if address.strip()]
    for address in reversed(addresses):
        try:
            if ip_address(address).is_global:
                return address
        except ValueError:
            return address
    return addresses[-1] if addresses else ""
