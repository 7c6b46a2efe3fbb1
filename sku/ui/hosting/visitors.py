"""Who a request comes from: a secret in a cookie, and an address.

The cookie is a visitor's only name: whoever holds it sees the runs that were started with it, and only a hash of it is
ever written down. A session hash is chosen by the client and names nobody.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import gradio as gr

from sku.core.records import digest
from sku.ui.hosting.gate import WITHOUT_COOKIE, Visitor

VISITOR_COOKIE = "sku_visitor"


def visitor_of(request: gr.Request | Any, proxy: bool) -> Visitor:
    """Who sent `request`.

    Args:
        request: as gradio hands it to a handler.
        proxy: whether to believe X-Forwarded-For.
    """
    forwarded = str(request.headers.get("x-forwarded-for") or "") if proxy else ""
    address = _outermost(forwarded) or str(getattr(request.client, "host", "") or "unknown")
    secret = str(request.cookies.get(VISITOR_COOKIE) or "")
    return Visitor(digest(secret, length=32) if len(secret) >= 32 else f"{WITHOUT_COOKIE}{address}", address)


def _outermost(forwarded: str) -> str:
    """The address that the outermost of the owner's proxies saw.

    Every proxy adds at the end whom it heard from, so what stands before the first public address, from the end, is
    what the client wrote of itself. Proxies behind one another have private addresses.
    """
    named = [one.strip() for one in forwarded.split(",") if one.strip()]
    for one in reversed(named):
        try:
            if ip_address(one).is_global:
                return one
        except ValueError:
            return one
    return named[-1] if named else ""
