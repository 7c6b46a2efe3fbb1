"""A tiny server that speaks the OpenAI protocol, in this process: what a real one does, with faults on request."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


def echo(body: dict[str, Any]) -> str:
    """Answers differ by what was asked and by the seed."""
    asked = body["prompt"] if "prompt" in body else body["messages"][-1]["content"]
    return f"You said {asked.strip()[-60:]} ({body.get('seed', 'greedy')})."


@dataclass
class Told:
    """How the server behaves, and what it was asked."""

    url: str = ""
    models: list[dict[str, Any]] = field(default_factory=lambda: [{"id": "toy", "object": "model", "owned_by": "toys"}])
    reply: Callable[[dict[str, Any]], str] = echo
    faults: list[int | str] = field(default_factory=list)
    """Statuses with which the next requests fail; `cut` breaks a stream off."""
    key: str = ""
    forbidden: tuple[str, ...] = ()
    """Values that no request may have."""
    adapters: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    thought: str = ""
    score: Callable[[list[int], int], float] | None = None
    """The log-probability of a token after others; None: the server tells none."""
    spell: Callable[[int], str] = str
    requests: list[dict[str, Any]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextmanager
def openai_server(**behaviour: Any) -> Iterator[Told]:
    """The server, until the block ends."""
    told = Told(**behaviour)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def send(self, status: int, values: Any) -> None:
            data = json.dumps(values).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            if told.key and self.headers["Authorization"] != f"Bearer {told.key}":
                self.send(401, {"error": {"message": f"wrong key {self.headers['Authorization']}"}})
            elif self.path == "/lora-adapters":
                self.send(200, told.adapters)
            else:
                self.send(200 if told.models else 404, {"object": "list", "data": told.models})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with told.lock:
                told.requests.append(body)
                told.at_once += 1
                told.most_at_once = max(told.most_at_once, told.at_once)
                fault = told.faults.pop(0) if told.faults else None
            time.sleep(told.seconds)
            try:
                self.answer(body, fault)
            finally:
                with told.lock:
                    told.at_once -= 1

        def answer(self, body: dict[str, Any], fault: int | str | None) -> None:
            unwanted = [name for name in told.forbidden if name in body]
            if told.key and self.headers["Authorization"] != f"Bearer {told.key}":
                self.send(401, {"error": {"message": "wrong key"}})
            elif isinstance(fault, int):
                self.send(fault, {"error": {"message": f"fault {fault}, key {self.headers['Authorization']}"}})
            elif unwanted:
                self.send(422, {"error": {"message": f"Unexpected fields: {unwanted}"}})
            else:
                self.forced(body) if "logit_bias" in body else self.written(body, told.reply(body), fault == "cut")

        def forced(self, body: dict[str, Any]) -> None:
            """One token that a bias leaves no choice, with the log-probability that it had without."""
            ((token, _),) = body["logit_bias"].items()
            log_prob = told.score(body["prompt"], int(token)) if told.score else None
            said = {"token_logprobs": [log_prob], "tokens": [""], "top_logprobs": None, "text_offset": [0]}
            choice = {"index": 0, "finish_reason": "length", "text": told.spell(int(token)), "logprobs": said}
            self.send(200, {"id": "1", "created": 1, "model": "m", "object": "x", "choices": [choice]})

        def written(self, body: dict[str, Any], text: str, cut: bool) -> None:
            words, chat = text.split(" "), "messages" in body
            kept = words[: body["max_tokens"]]
            reason = "length" if len(kept) < len(words) else "stop"
            usage = {"prompt_tokens": 1, "completion_tokens": len(kept), "total_tokens": len(kept) + 1}
            pieces = [word if i == 0 else f" {word}" for i, word in enumerate(kept)]
            base = {"id": "1", "created": 1, "model": body["model"]}
            if not body.get("stream"):
                message = {"role": "assistant", "content": "".join(pieces), "reasoning_content": told.thought or None}
                said = {"message": message} if chat else {"text": "".join(pieces)}
                self.send(200, {**base, "object": "x", "choices": [{"index": 0, "finish_reason": reason, **said}],
                                "usage": usage})  # fmt: skip
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.send_header("Content-Length", "1000000") if cut else None
            self.end_headers()
            for i, piece in enumerate(pieces):
                if cut and i == 2:
                    self.connection.close()
                    return
                self.chunk(base, {"delta": {"content": piece}} if chat else {"text": piece}, None)
            self.chunk(base, {"delta": {}} if chat else {"text": ""}, reason)
            if "stream_options" in body:
                self.line({**base, "choices": [], "usage": usage})
            self.wfile.write(b"data: [DONE]\n\n")
            self.close_connection = True

        def chunk(self, base: dict[str, Any], said: dict[str, Any], reason: str | None) -> None:
            self.line({**base, "object": "x", "choices": [{"index": 0, "finish_reason": reason, **said}]})

        def line(self, values: Any) -> None:
            self.wfile.write(f"data: {json.dumps(values)}\n\n".encode())
            self.wfile.flush()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    told.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    """A server of the name `toy` in `SKU_SERVERS`; pauses before a retry take no time."""
    from openai._base_client import BaseClient

    monkeypatch.setattr(BaseClient, "_calculate_retry_timeout", lambda *_: 0.0)
    with openai_server() as server:
        monkeypatch.setenv("SKU_SERVERS", f"toy={server.url}")
        yield server
