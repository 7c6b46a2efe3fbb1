"""ASGI middleware: closes unused routes, limits body sizes, counts calls, and adds security headers to every response.

Gradio has routes that this page does not use. Some of them let anyone write files or fetch from other hosts.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sku.ui.hosting.gate import Gate, Visitor
from sku.ui.hosting.rate_limit import RateLimited
from sku.ui.hosting.settings import on_spaces
from sku.ui.hosting.visitors import VISITOR_COOKIE, visitor_of

_LOG = logging.getLogger(__name__)
_YEAR_SECONDS = 31_536_000
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # gradio's page needs inline scripts and styles; the browser may not fetch from or send to any other host
    "Content-Security-Policy": (
        "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; object-src 'none'; base-uri 'self'; "
        "form-action 'self'"
    ),
}
_CLOSED = re.compile(
    r"(/gradio_api)?/+(deep_link|process_recording|component_server|(undo-)?vibe-|runs|run-history|monitoring"
    r"|dev/reload|proxy=|file[=/]\s*(https?|ftp):)",
    re.IGNORECASE,
)
"""Gradio's routes that this page does not need. They store what is posted, or fetch from other hosts for anyone."""
_MAX_CALL_BYTES = 256 * 1024
"""The largest body of a call. Files do not count: they arrive as uploads."""
_UPLOAD_OVERHEAD_BYTES = 64 * 1024
"""Room for the multipart framing of an upload, beside its files."""
_UNCOUNTED = ("/reset", "/cancel")
"""Posts that are not counted, because they only end a call that was counted when it began."""


class HostingMiddleware:
    """Gives new visitors a cookie and refuses requests that exceed the gate's limits. Streams pass unchanged."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self.app, self.gate = app, gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        path = str(scope["path"])
        if _CLOSED.match(path):
            await _refuse(404, "There is nothing here.")(scope, receive, send)
            return
        if request.method != "POST":
            is_new = path == "/" and VISITOR_COOKIE not in request.cookies
            await self.app(scope, receive, _with_headers(send, scope, is_new))
            return
        upload = path.rstrip("/").endswith("/upload")
        max_upload = self.gate.hosting.upload_kilobytes * 1024 + _UPLOAD_OVERHEAD_BYTES
        max_bytes = max_upload if upload else _MAX_CALL_BYTES
        if int(request.headers.get("content-length") or 0) > max_bytes:
            await _too_large(max_bytes)(scope, receive, send)
            return
        try:
            self._count(path, visitor_of(request), upload)
        except RateLimited as error:
            await _refuse(429, f"{error}.")(scope, receive, send)
            return
        await _run_with_body_limit(self.app, scope, receive, _with_headers(send, scope, False), max_bytes)

    def _count(self, path: str, visitor: Visitor, upload: bool) -> None:
        if upload:
            self.gate.upload(visitor)
        elif path.rstrip("/").endswith("/queue/join") or "/call/" in path:
            self.gate.request(visitor)
        elif not path.endswith(_UNCOUNTED):
            self.gate.update(visitor)


async def _run_with_body_limit(app: ASGIApp, scope: Scope, receive: Receive, send: Send, max_bytes: int) -> None:
    """Run `app`, and refuse the request as soon as its body exceeds `max_bytes`, even if Content-Length was wrong."""
    received, refused, answered = 0, False, False

    async def counting_receive() -> Message:
        nonlocal received, refused
        message = await receive()
        received += len(message.get("body", b""))
        if received > max_bytes and not refused:
            refused = True
            await _too_large(max_bytes)(scope, receive, send)
        return {"type": "http.disconnect"} if refused else message

    async def guarded_send(message: Message) -> None:
        nonlocal answered
        if message["type"] == "http.response.start" and message["status"] >= 400:
            MutableHeaders(scope=message).setdefault("Connection", "close")  # so that the rest of the body is not read
        if not refused:
            answered = True
            await send(message)

    try:
        await app(scope, counting_receive, guarded_send)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        if answered or refused:
            return
        _LOG.warning("refused a call to %s that gradio could not read: %s", scope["path"], type(error).__name__)
        await _refuse(400, "This is not a call that the page makes; load the page again.")(scope, receive, send)
    except Exception:
        if not refused:  # a refused request already has its response, so its errors do not matter
            raise


def _with_headers(send: Send, scope: Scope, is_new: bool) -> Send:
    """`send`, which adds `_HEADERS` to the response, and a cookie if the visitor `is_new`."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            if is_new:
                headers.append("Set-Cookie", _new_cookie(scope))
        await send(message)

    return send_with_headers


def _new_cookie(scope: Scope) -> str:
    """The Set-Cookie header with a new visitor's secret.

    A Space is shown in a frame of another site, where a browser sends no Lax cookie. An old browser does not say
    whether it loads a frame; on a Space it is taken to do so.
    """
    secure = scope.get("scheme") == "https"
    in_frame = secure and on_spaces() and Headers(scope=scope).get("sec-fetch-dest", "iframe") == "iframe"
    attributes = "SameSite=None; Secure; Partitioned" if in_frame else f"SameSite=Lax{'; Secure' if secure else ''}"
    return f"{VISITOR_COOKIE}={secrets.token_urlsafe(32)}; Max-Age={_YEAR_SECONDS}; Path=/; HttpOnly; {attributes}"


def _too_large(max_bytes: int) -> ASGIApp:
    """A 413 response that also closes the connection, so that the rest of the body is not read."""
    detail = f"The request is too large; the limit is {max_bytes // 1024} kB."
    return _refuse(413, detail, {"Connection": "close"})


def _refuse(status_code: int, detail: str, headers: Mapping[str, str] = {}) -> ASGIApp:
    return JSONResponse({"detail": detail}, status_code, {**_HEADERS, **headers})
