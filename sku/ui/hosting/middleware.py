"""What every request to the server meets: closed doors, bounded bodies, counted calls; and what every answer carries.

Gradio brings routes that this page does not use; some of them write files, or fetch from other hosts, for anyone.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sku.ui.hosting.gate import Gate, Visitor
from sku.ui.hosting.rate_limit import RateLimited
from sku.ui.hosting.visitors import VISITOR_COOKIE, visitor_of

_YEAR = 31_536_000
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # gradio's page needs inline scripts and styles; nothing may be fetched from, or sent to, another host
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
"""Routes of gradio that nothing here needs: they keep what is posted, or read other hosts for whoever asks."""
_CALL_BYTES = 256 * 1024
"""Of a call; files come as uploads."""
_FRAME_BYTES = 64 * 1024
"""What an upload has beside its files."""
_FREE = ("/reset", "/cancel")
"""Posts that only end what was counted when it began."""


class HostingMiddleware:
    """ASGI middleware: gives a new visitor their cookie, and holds requests to what the gate allows.

    Streams pass through untouched.
    """

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
            await self.app(scope, receive, _polite(send, scope, path == "/" and VISITOR_COOKIE not in request.cookies))
            return
        upload = path.rstrip("/").endswith("/upload")
        most = self.gate.hosting.upload_kilobytes * 1024 + _FRAME_BYTES if upload else _CALL_BYTES
        if int(request.headers.get("content-length") or 0) > most:
            await _too_large(most)(scope, receive, send)
            return
        try:
            self._count(path, visitor_of(request, self.gate.hosting.proxy), upload)
        except RateLimited as error:
            await _refuse(429, f"{error}.")(scope, receive, send)
            return
        await _bounded(self.app, scope, receive, _polite(send, scope, False), most)

    def _count(self, path: str, who: Visitor, upload: bool) -> None:
        if upload:
            self.gate.upload(who)
        elif path.rstrip("/").endswith("/queue/join") or "/call/" in path:
            self.gate.request(who)
        elif not path.endswith(_FREE):
            self.gate.update(who)


async def _bounded(app: ASGIApp, scope: Scope, receive: Receive, send: Send, most: int) -> None:
    """Run `app` on a body of at most `most` bytes; one that says nothing of its length, or lies, ends at that byte."""
    taken, refused = 0, False

    async def counted() -> Message:
        nonlocal taken, refused
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > most and not refused:
            refused = True
            await _too_large(most)(scope, receive, send)
        return {"type": "http.disconnect"} if refused else message

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] >= 400:
            MutableHeaders(scope=message).setdefault("Connection", "close")  # whatever is still to come of the body
        if not refused:
            await send(message)

    try:
        await app(scope, counted, sending)
    except Exception:
        if not refused:  # a request that was cut off ends as it may: it has its answer
            raise


def _polite(send: Send, scope: Scope, fresh: bool) -> Send:
    """`send`, with `_HEADERS` added, and a cookie where the visitor is `fresh`."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            if fresh:
                headers.append("Set-Cookie", _cookie(scope))
        await send(message)

    return sending


def _cookie(scope: Scope) -> str:
    secure = scope.get("scheme") == "https" or ("x-forwarded-proto", "https") in {
        (name.decode().lower(), value.decode()) for name, value in scope["headers"]
    }
    place = "SameSite=None; Secure; Partitioned" if secure else "SameSite=Lax"  # a Space is shown in a frame
    return f"{VISITOR_COOKIE}={secrets.token_urlsafe(32)}; Max-Age={_YEAR}; Path=/; HttpOnly; {place}"


def _too_large(most: int) -> ASGIApp:
    """It closes the line too: what is still to come is not taken in."""
    said = f"That is too large; the limit is {most // 1024} kB."
    return _refuse(413, said, {"Connection": "close"})


def _refuse(code: int, said: str, more: Mapping[str, str] = {}) -> ASGIApp:
    return JSONResponse({"detail": said}, code, {**_HEADERS, **more})
