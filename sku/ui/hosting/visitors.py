"""Identifies the visitor behind a request by a secret cookie and an address.

The cookie alone identifies a visitor: whoever has it sees the runs that were started with it. Only a hash of it is
stored. Gradio's session hash identifies nobody, because the client chooses it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import gradio as gr

from sku.core.records import digest
from sku.ui.hosting.gate import WITHOUT_COOKIE, Visitor

VISITOR_COOKIE = "sku_visitor"


def visitor_of(request: gr.Request | Any) -> Visitor:
    """The visitor who sent `request`, which gradio passes to a handler.

    The address is that of the connection, unless this comes from a proxy that the owner named: then the server has put
    the address there that the proxy wrote into X-Forwarded-For (`trust_proxies`).
    """
    address = str(getattr(request.client, "host", "") or "unknown")
    secret = str(request.cookies.get(VISITOR_COOKIE) or "")
    return Visitor(digest(secret, length=32) if len(secret) >= 32 else f"{WITHOUT_COOKIE}{address}", address)


def trust_proxies(proxies: Sequence[str]) -> None:
    """Let the server believe X-Forwarded-For and X-Forwarded-Proto from these networks only; call it before a launch.

    The server is uvicorn, which reads the networks from this variable when it starts. It would believe every program on
    this machine otherwise. Of several addresses in the header it takes the last that is not a proxy's: each proxy
    appends the address that it received the request from, so what stands before may be the client's invention.
    """
    os.environ["FORWARDED_ALLOW_IPS"] = ",".join(proxies)
