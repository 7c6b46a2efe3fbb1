"""Strangers at the door: raw HTTP against the running public page. No widget stands between these and the server."""

from __future__ import annotations

import base64
import html
import json
import re
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from sku.core.config import TrainConfig
from sku.core.records import Answer, Verdict
from sku.core.servers import Server
from sku.serving.live_session import LiveSession
from sku.serving.remote_session import RemoteSession
from sku.serving.streaming import ColumnState
from sku.serving.token_lens import TokenLens
from sku.ui.compare.comparison import ComparedColumn, Comparison, ComparisonSettings
from sku.ui.hosting import middleware
from sku.ui.hosting.gate import Gate
from sku.ui.hosting.settings import Hosting
from sku.ui.hosting.visitors import VISITOR_COOKIE, visitor_of
from sku.ui.page import build_page, launch
from tests.conftest import keyword_session
from tests.openai_server import openai_server

ROOT = Path(__file__).parents[2]
HOSTING = Hosting(
    public=True, downloads=False, new_tokens=32, asks_a_minute=6, requests_a_minute=60, updates_a_minute=100,
    trainings_a_day=1, queue=8, upload_kilobytes=64, uploads_an_hour=20,
)  # fmt: skip
BASES = {"prompt": "Why?", "length": 8} | {f"variant_{i}": "base" for i in range(6)}
"""Compare's controls: a question to the base in every column."""
MARKUP = "<img src=x onerror='alert(1)'><script>alert(2)</script>${alert(3)}"


class Stranger:
    """Somebody with a browser's cookie and a script."""

    def __init__(self, url: str) -> None:
        # The server closes a connection that is idle for 5 s, which is httpx's limit too; a browser would ask again.
        self.http = httpx.Client(base_url=url, timeout=60, limits=httpx.Limits(keepalive_expiry=2))
        self.session = uuid.uuid4().hex
        self.first = self.http.get("/")
        self.config = self.http.get("/config").json()

    def place(self, name: str) -> int:
        """Which function an endpoint, or the handler of a button with an id, is."""
        for found in self.config["dependencies"]:
            if found["api_name"] == name:
                return int(found["id"])
        ids = {c["props"].get("elem_id"): c["id"] for c in self.config["components"]}
        (wanted,) = [d["id"] for d in self.config["dependencies"] if any(t[0] == ids[name] for t in d["targets"])][:1]
        return int(wanted)

    def join(self, place: int, data: list[Any]) -> httpx.Response:
        """Put a call into the queue."""
        body = {"data": data, "fn_index": place, "session_hash": self.session, "event_data": None, "trigger_id": None}
        return self.http.post("/gradio_api/queue/join", json=body)

    def told(self, place: int, data: list[Any]) -> list[dict[str, Any]]:
        """Everything that the server says of a call; the last one is its end: success, and output or error."""
        joined = self.join(place, data)
        assert joined.status_code == 200, joined.text
        event, found = joined.json()["event_id"], []
        with self.http.stream("GET", "/gradio_api/queue/data", params={"session_hash": self.session}) as stream:
            for line in stream.iter_lines():
                said = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                if said.get("event_id") == event and "output" in said:
                    found.append(said)
                if said.get("event_id") == event and said.get("msg") == "process_completed":
                    return found
        raise AssertionError("the stream ended without an answer")

    def call(self, place: int, data: list[Any]) -> dict[str, Any]:
        """The end of a call."""
        return self.told(place, data)[-1]

    def filled(self, place: int, **given: Any) -> list[Any]:
        """What a browser would post to a handler: `given` by the ids of components, - as _; the rest as it first is."""
        found = {component["id"]: component["props"] for component in self.config["components"]}
        inputs = next(d["inputs"] for d in self.config["dependencies"] if d["id"] == place)
        names = {i: str(found[i].get("elem_id")).replace("-", "_") for i in inputs}
        assert set(given) <= set(names.values()), f"{set(given) - set(names.values())} are no inputs"
        return [given.get(names[i], found[i].get("value")) for i in inputs]

    def post(self, handler: str, **given: Any) -> dict[str, Any]:
        """The end of a call of the handler of a button with an id."""
        return self.call(self.place(handler), self.filled(self.place(handler), **given))

    def look(self, **given: Any) -> dict[str, Any]:
        """What follows from the answers that are shown."""
        return self.call(self.after(), self.filled(self.after(), **given))

    def after(self) -> int:
        """The handler of everything that follows from the answers that are shown."""
        return next(
            int(d["id"])
            for d in self.config["dependencies"]
            if d["targets"] and d["targets"][0][1] == "then" and len(d["outputs"]) == 18
        )

    def shown(self, place: int, data: list[Any]) -> list[tuple[str, Any]]:
        """Kind of component and value, or change of it, of everything that a call shows while it runs."""
        told = self.told(place, data)
        assert told[-1]["success"], told[-1]
        kinds = {component["id"]: component["type"] for component in self.config["components"]}
        outputs = next(d["outputs"] for d in self.config["dependencies"] if d["id"] == place)
        every = [said["output"].get("data") or [] for said in told]
        return [(kinds[i], value) for values in every for i, value in zip(outputs, values, strict=False)]

    def answer(self, *data: Any) -> dict[str, Any]:
        """Call the endpoint that scripts call."""
        return self.call(self.place("answer"), whole(*data))


def whole(*data: Any) -> list[Any]:
    """All six inputs of `answer`."""
    return [*data, *(16, 0.0, 0, 1)[len(data) - 2 :]]


def error(said: dict[str, Any]) -> str:
    assert not said["success"], said
    return str(said["output"]["error"])


@pytest.fixture
def url(pico_folder: Path) -> Iterator[str]:
    gate = Gate(HOSTING)
    page = build_page(keyword_session(pico_folder), (), gate)
    _, address, _ = launch(page, None, None, gate, prevent_thread_lock=True, quiet=True)
    yield address
    page.close()


@pytest.fixture
def stranger(url: str) -> Stranger:
    return Stranger(url)


def test_a_question_is_answered_and_every_page_carries_safe_headers(stranger: Stranger) -> None:
    said = stranger.answer("Why?", ["base"], 8)
    assert said["success"], said
    assert said["output"]["data"][0][0]["tokens"] <= 8
    headers = stranger.first.headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert "HttpOnly" in headers["set-cookie"]
    assert "set-cookie" not in stranger.http.get("/").headers, "one cookie a visitor"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (("x" * 100_000, ["base"]), "at most 2000 are allowed"),
        (("Why?", ["base"], 33), "from 1 to 32"),
        (("Why?", ["base"], "many"), "out of range"),
        (("Why?", ["base"], 8, None), "out of range"),
        (("Why?", ["sku@-1"]), "from 0 to 10"),
        (("Why?", ["sku@1e9"]), "from 0 to 10"),
        (("Why?", ["sku@x"]), "from 0 to 10"),
        (("Why?", "base"), "give a list"),
        (("Why?", [{"path": "/etc/passwd"}]), "is not a text"),
        (("Why?", ["/etc/passwd"]), "is not known here"),
        (("Why?", ["acquired:sku"]), "the owner of this page has not enabled it"),
        ((["Why?"], ["base"]), "The prompt is empty"),
    ],
)
def test_a_posted_call_meets_the_same_gate(stranger: Stranger, data: tuple[Any, ...], said: str) -> None:
    assert said in error(stranger.answer(*data))


def test_private_handlers_meet_it_too(stranger: Stranger) -> None:
    assert "at most 2000 are allowed" in error(stranger.post("ask", **BASES | {"prompt": "x" * 100_000}))
    for bad in ("/etc", "acquired:sku", "sku+acquired:sku", "sku@-1", "sku+/etc@1", None, 5, ["sku"], {"sku": 1}):
        assert not stranger.post("ask", **BASES | {"variant_0": bad})["success"], bad
    assert not stranger.post("ask", **BASES | {"length": 10**6})["success"]
    bad_slider = {"variant_0": "sku", "coefficient_0": "1; DROP"}
    assert not stranger.post("ask", **BASES | bad_slider)["success"]
    assert stranger.post("ask", **BASES)["success"], "and what is allowed is answered"


def test_no_other_site_may_read_with_a_visitors_cookie(stranger: Stranger) -> None:
    """Gradio reflects any origin, with credentials, unless the host is localhost."""
    for host, origin in (("sku.example", "https://evil.example"), ("sku.example", "null")):
        headers = {"Host": host, "Origin": origin}
        asks = {"Access-Control-Request-Method": "POST"}
        replies = [
            stranger.http.get("/config", headers=headers),
            stranger.http.request("OPTIONS", "/gradio_api/queue/join", headers=headers | asks),
        ]
        assert not [name for reply in replies for name in reply.headers if name.startswith("access-control-allow")]


@pytest.mark.parametrize(
    ("space", "proto", "shown_in", "wanted"),
    [
        ("", "http", "iframe", "SameSite=Lax"),
        ("", "https", "iframe", "SameSite=Lax; Secure"),
        ("me/sku", "http", "iframe", "SameSite=Lax"),
        ("me/sku", "https", "document", "SameSite=Lax; Secure"),
        ("me/sku", "https", "iframe", "SameSite=None; Secure; Partitioned"),
        ("me/sku", "https", "", "SameSite=None; Secure; Partitioned"),
    ],
)
def test_only_the_frame_of_a_space_gets_a_cookie_for_frames(
    monkeypatch: pytest.MonkeyPatch, space: str, proto: str, shown_in: str, wanted: str
) -> None:
    monkeypatch.setattr(middleware, "on_spaces", lambda: bool(space))
    headers = [(b"sec-fetch-dest", shown_in.encode())] if shown_in else []
    assert middleware._new_cookie({"type": "http", "scheme": proto, "headers": headers}).endswith(wanted)


@pytest.mark.parametrize("named", [True, False])
def test_the_header_of_a_proxy_is_believed_only_if_the_owner_named_it(pico_folder: Path, named: bool) -> None:
    """A visitor without a cookie is known by the address alone."""
    gate = Gate(Hosting(public=True, asks_a_minute=1, proxy="127.0.0.1" if named else "10.9.9.9"))
    page = build_page(keyword_session(pico_folder), (), gate)
    _, address, _ = launch(page, None, None, gate, prevent_thread_lock=True, quiet=True)
    try:
        visitor = Stranger(address)

        def ask(forwarded: str) -> bool:
            visitor.http.cookies.clear()
            visitor.http.headers["X-Forwarded-For"] = forwarded
            return bool(visitor.answer("Why?", ["base"], 1)["success"])

        assert ask("6.6.6.6")
        assert ask("7.7.7.7") is named, "another visitor to the proxy, the same to everybody else"
        assert not ask("8.8.8.8, 6.6.6.6"), "only the last address is the proxy's word"
        cookie = visitor.http.get("/", headers={"X-Forwarded-Proto": "https"}).headers["set-cookie"]
        assert ("Secure" in cookie) is named
    finally:
        page.close()


def _body(**changes: Any) -> dict[str, Any]:
    whole_body = {"data": [], "fn_index": 0, "session_hash": "s", "event_data": None, "trigger_id": None}
    return {name: value for name, value in (whole_body | changes).items() if value != "absent"}


@pytest.mark.parametrize(
    "body",
    [
        _body(fn_index=99_999),
        _body(fn_index=-1),
        _body(fn_index="x"),
        _body(data="absent"),
        _body(data=None),
        _body(session_hash="absent"),
    ],
)
def test_a_call_that_is_no_call_gets_a_clear_answer_and_leaves_no_traceback(
    stranger: Stranger, capfd: pytest.CaptureFixture[str], body: dict[str, Any]
) -> None:
    reply = stranger.http.post("/gradio_api/queue/join", json=body)
    assert reply.status_code < 500, reply.text
    captured = capfd.readouterr()
    assert "Traceback" not in captured.out + captured.err
    assert stranger.answer("Why?", ["base"], 8)["success"], "the page still answers"


def test_too_few_inputs_are_refused_and_the_page_goes_on(stranger: Stranger) -> None:
    assert not stranger.call(stranger.place("answer"), ["Why?"])["success"]
    assert stranger.answer("Why?", ["base"], 8)["success"]


def test_a_refusal_is_text_and_leaves_no_traceback(stranger: Stranger, capfd: pytest.CaptureFixture[str]) -> None:
    said = error(stranger.answer("Why?", ["<img src=x onerror=alert(1)>"], 8))
    assert "&lt;img" in said
    assert "<img" not in said, "gradio shows it as HTML"
    captured = capfd.readouterr()
    assert "Traceback" not in captured.out + captured.err


def test_what_a_slider_cannot_hold_is_refused(stranger: Stranger) -> None:
    for bad in ("NaN", "Infinity", "1e999"):
        body = json.dumps(_body(fn_index=stranger.place("ask"), data=["@"] * 3)).replace('"@"', bad)
        reply = stranger.http.post("/gradio_api/queue/join", content=body, headers={"Content-Type": "application/json"})
        assert reply.status_code < 500, reply.text
    assert not stranger.post("ask", **BASES | {"variant_0": "sku", "coefficient_0": "NaN"})["success"]


def test_a_run_name_of_5000_characters_is_refused(stranger: Stranger) -> None:
    said = error(stranger.call(stranger.place("run_status"), ["x" * 5000]))
    assert "no run called" in said
    assert len(said) < 300, "the whole name is not said back"


def test_a_comparison_with_a_part_without_answers_is_refused(
    stranger: Stranger, capfd: pytest.CaptureFixture[str]
) -> None:
    for whole_file in ("{}", '{"prompt": "Why?", "parts": [{"variant": "base"}]}', '{"columns": [{}]}', "[]", "null"):
        sent = stranger.http.post("/gradio_api/upload", files={"files": ("a.json", whole_file.encode())}).json()
        place = stranger.place("import")
        said = stranger.call(place, stranger.filled(place, **{"import": posted(sent[0], meta=True)}))
        assert not said["success"], whole_file
        assert said["output"]["error"], "the refusal says why"
    empty = ComparedColumn("base", "base", (), (), None)
    whole_file = Comparison("Why?", "pico", ComparisonSettings(8, 0.0, 0, 1), (empty,)).to_json()
    sent = stranger.http.post("/gradio_api/upload", files={"files": ("a.json", whole_file.encode())}).json()
    said = stranger.call(place, stranger.filled(place, **{"import": posted(sent[0], meta=True)}))
    assert said["success"], "a part whose answers are an empty list is shown empty"
    captured = capfd.readouterr()
    assert "Traceback" not in captured.out + captured.err


@pytest.mark.parametrize("button", ["import", "batch-upload", "measure-upload"])
def test_an_upload_without_a_file_is_refused(
    stranger: Stranger, button: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "no file came" in error(stranger.post(button, **{button.replace("-", "_"): None}))
    captured = capfd.readouterr()
    assert "Traceback" not in captured.out + captured.err


def test_a_number_where_several_names_are_chosen_is_nothing_chosen(
    stranger: Stranger, capfd: pytest.CaptureFixture[str]
) -> None:
    lists = {c["id"]: c["props"]["elem_id"] for c in stranger.config["components"] if c["props"].get("multiselect")}
    told = 0
    for dependency in stranger.config["dependencies"]:
        for name in {lists[i] for i in dependency["inputs"] if i in lists}:
            said = stranger.call(dependency["id"], stranger.filled(dependency["id"], **{name.replace("-", "_"): 5}))
            assert said["success"] or said["output"]["error"], f"{name}: an error without a reason"
            told += 1
    assert told > len(lists), "every handler of every list is tried"
    captured = capfd.readouterr()
    assert "Traceback" not in captured.out + captured.err


def test_an_upload_without_a_name_is_refused(stranger: Stranger) -> None:
    head = '--b\r\nContent-Disposition: form-data; name="files"; filename=""\r\n\r\n'
    reply = stranger.http.post(
        "/gradio_api/upload",
        content=f"{head}text\r\n--b--\r\n".encode(),
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    )
    assert reply.status_code < 500, reply.text


def test_what_a_visitor_asked_is_in_nobody_elses_page(stranger: Stranger, url: str) -> None:
    other = Stranger(url)
    for one, prompt in ((stranger, "My own secret?"), (other, "Something else?")):
        assert one.post("ask", **BASES | {"prompt": prompt})["success"]
    mine, theirs = (json.dumps(one.look(**BASES)["output"]) for one in (stranger, other))
    assert "My own secret?" in mine
    assert "My own secret?" not in theirs
    assert "Something else?" in theirs


class Scripted(LiveSession):
    """A model that writes markup."""

    def ask(
        self,
        prompt: str,
        variants: Sequence[str],
        config: Any,
        cancelled: Any = None,
        attack: Any = None,
        before: Sequence[Any] = (),
    ) -> Iterator[list[ColumnState]]:
        answers = [Answer(name, 0, prompt, 0, 0, MARKUP, 3, 1.0, "end", MARKUP) for name in variants]
        yield [ColumnState(one.variant, one, samples=(one,), seconds=1.0) for one in answers]

    def verdicts(self, prompt: str, texts: Sequence[str]) -> list[Verdict]:
        return [Verdict("harmful", 0.9, MARKUP, MARKUP) for _ in texts]

    def divergence(self, prompt: str, answer: str, variants: Sequence[str], before: Any = None) -> list[float]:
        return [0.1 for _ in variants]

    def lens(self, prompt: str, answer: str, variants: Sequence[str], before: Any = None) -> TokenLens:
        return TokenLens((MARKUP, answer), (-1.0, -1.0), dict.fromkeys(variants, (0.0, 0.0)))


@pytest.mark.parametrize("view", ["answer", "difference", "token lens"])
def test_what_a_visitor_or_a_model_writes_is_never_markup(pico_folder: Path, view: str) -> None:
    gate = Gate(HOSTING)
    page = build_page(Scripted(str(pico_folder)), (), gate)
    _, url, _ = launch(page, None, None, gate, prevent_thread_lock=True, quiet=True)
    try:
        stranger = Stranger(url)
        place, after = stranger.place("ask"), stranger.after()
        shown = [*stranger.shown(place, stranger.filled(place, **BASES | {"prompt": MARKUP}))]
        shown += stranger.shown(after, stranger.filled(after, **BASES, view=view))
        as_text = {"textbox", "dropdown", "radio"}  # these show a value as it is written
        as_html = [(kind, value) for kind, value in shown if kind not in as_text]
        assert any(MARKUP in str(value) for kind, value in shown if kind == "textbox"), "the answer is shown, as text"
        escaped = html.escape(MARKUP)
        verdicts = [value for _, value in as_html if "class='pill'" in str(value) and escaped in str(value)]
        assert len(verdicts) >= 3, "what the judge wrote is shown, escaped"
        views = [
            value["value"]
            for kind, value in as_html
            if kind != "button" and isinstance(value, dict) and value.get("visible") and "value" in value
        ]
        wanted = [] if view == "answer" else [True] * 3 + [False] * 3
        assert [escaped in text for text in views] == wanted, "so is the answer in other views"
        for kind, value in as_html:
            assert "<img" not in unpacked(str(value)), f"{kind}: {value}"
            assert "<script" not in unpacked(str(value)), f"{kind}: {value}"
    finally:
        page.close()


def unpacked(text: str) -> str:
    """With the HTML page that an export link carries laid open."""
    pages = (base64.b64decode(code).decode() for code in re.findall(r"data:text/html[^,]*;base64,([\w+/=]+)", text))
    return text + "".join(pages)


def test_an_answer_under_the_lens_is_bounded_too(stranger: Stranger) -> None:
    lens = BASES | {"view": "token lens", "lens_source": "typed below", "lens_text": "Because."}
    assert stranger.post("ask", **BASES)["success"]
    for typed, said in (("Because.", "nats in total"), ("x" * 5000, "at most 4000 characters")):
        found = stranger.look(**lens | {"lens_text": typed})
        assert said in json.dumps(found["output"]), found
    for _ in range(HOSTING.asks_a_minute):
        found = stranger.look(**lens)
    assert "used up" in json.dumps(found["output"]), "a look costs as much as a question"


def test_files_of_the_machine_are_closed(stranger: Stranger, sku_home: Path) -> None:
    sku_home.mkdir(parents=True, exist_ok=True)
    (sku_home / "secret.json").write_text("{}")
    private = (Path("/etc/passwd"), ROOT / "app.py", ROOT / "sku" / "__main__.py", sku_home / "secret.json")
    assert all(path.is_file() for path in private), "what is not there cannot be read anyway"
    for path in (*private, "../app.py"):
        for route in ("/gradio_api/file=", "/file=", "/gradio_api/stream/"):
            assert stranger.http.get(f"{route}{path}").status_code in (403, 404), f"{route}{path} must be closed"
    assert stranger.http.get("/monitoring/summary").status_code in (403, 404)


def posted(path: Path | str, meta: bool) -> dict[str, Any]:
    """A file as a browser names one that it has uploaded."""
    return {"path": str(path), "orig_name": "a.jsonl"} | ({"meta": {"_type": "gradio.FileData"}} if meta else {})


@pytest.mark.parametrize("meta", [True, False])
def test_no_handler_reads_a_file_that_was_not_uploaded(stranger: Stranger, sku_home: Path, meta: bool) -> None:
    sku_home.mkdir(parents=True, exist_ok=True)
    secret = sku_home / "secret.jsonl"
    secret.write_text('{"prompt": "the secret", "answer": "of another"}\n')
    for path in (secret, "/etc/passwd", ROOT / "assets" / "data" / "bundled_harmful.jsonl"):
        for place, data in (
            (stranger.place("harmful-file"), [posted(path, meta), None, None, False]),
            (stranger.place("import"), stranger.filled(stranger.place("import"), **{"import": posted(path, meta)})),
            (stranger.place("measure-upload"), [posted(path, meta)]),
        ):
            said = stranger.call(place, data)
            assert not said["success"], f"{path} was read: {said}"
            assert "the secret" not in json.dumps(said)
    sent = stranger.http.post("/gradio_api/upload", files={"files": ("mine.jsonl", secret.read_bytes())}).json()
    said = stranger.call(stranger.place("harmful-file"), [posted(sent[0], meta=True), None, None, False])
    assert "the secret" in json.dumps(said), "what was uploaded is read by the same call"


def test_doors_that_gradio_opens_and_nothing_needs_are_closed(stranger: Stranger) -> None:
    for path in (
        "/gradio_api/file=http://127.0.0.1:9/x",
        "/gradio_api/file=HTTPS://example.org/x",
        "/gradio_api/file/https://example.org/x",
        "/gradio_api/proxy=https://example.org/x",
        f"/gradio_api/deep_link?session_hash={stranger.session}",
        "/gradio_api/runs",
        "/gradio_api/run-history/records",
    ):
        assert stranger.http.get(path).json() == {"detail": "There is nothing here."}, path
    for path in ("process_recording", "component_server", "vibe-edit/"):
        said = stranger.http.post(f"/gradio_api/{path}", files={"video": ("a.mp4", b"x")})
        assert said.json() == {"detail": "There is nothing here."}, path


def test_the_queue_cannot_be_passed_by(stranger: Stranger) -> None:
    for route in ("run", "api"):
        said = stranger.http.post(f"/gradio_api/{route}/answer", json={"data": whole("Why?", ["base"])})
        assert said.status_code == 404, f"{route}: {said.text}"


def test_a_body_ends_where_the_limit_is(stranger: Stranger) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(4000):  # 256 MB, if somebody reads it
            yield b"x" * 65_536
            sent.append(65_536)

    sent: list[int] = []
    whole_call = {"data": ["x" * 3_000_000], "fn_index": 0, "session_hash": "s"}
    assert stranger.http.post("/gradio_api/queue/join", json=whole_call).status_code == 413
    many = [("files", (f"{i}.json", b"x" * 60_000)) for i in range(50)]
    assert stranger.http.post("/gradio_api/upload", files=many).status_code == 413, "each is small, all are not"
    for path in ("queue/join", "upload"):
        kind = {"Content-Type": "multipart/form-data; boundary=b" if path == "upload" else "application/json"}
        with suppress(httpx.WriteError, httpx.ReadError):  # the server hangs up on who does not listen
            said = stranger.http.post(f"/gradio_api/{path}", content=endless(), headers=kind)
            assert said.status_code in (413, 400), "too large, or seen to be no form before it was"
        assert sum(sent) < 32_000_000, f"{path} must not take in what it refuses"
        sent.clear()
    assert stranger.answer("Why?", ["base"], 1)["success"], "and the page goes on"


def test_an_upload_of_a_gigabyte_is_refused_before_it_comes(stranger: Stranger) -> None:
    where = stranger.http.base_url
    with socket.create_connection((where.host, where.port or 80), timeout=10) as line:
        line.sendall(
            b"POST /gradio_api/upload HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
            b"Content-Length: 1000000000\r\n\r\n"
        )
        assert line.recv(1000).startswith(b"HTTP/1.1 413"), "refused on its word, not a byte of it read"


def test_a_large_upload_is_refused_and_a_small_ones_is_not_for_others(stranger: Stranger, url: str) -> None:
    big = stranger.http.post("/gradio_api/upload", files={"files": ("big.json", b"x" * 3_000_000)})
    assert big.status_code == 413
    small = stranger.http.post("/gradio_api/upload", files={"files": ("small.json", b"{}")})
    assert small.status_code == 200
    names = [c for c in Path(small.json()[0]).parts if c not in ("/", "small.json")]
    listing = Stranger(url).http.get("/gradio_api/file=" + "/" + "/".join(names))
    assert listing.status_code in (403, 404), "a folder of uploads is never listed"


def test_a_visitor_who_asks_too_often_waits_and_others_do_not(stranger: Stranger, url: str) -> None:
    for _ in range(HOSTING.asks_a_minute):
        assert stranger.answer("Why?", ["base"], 1)["success"]
    assert "6 questions in a minute are allowed" in error(stranger.answer("Why?", ["base"], 1))
    assert Stranger(url).answer("Why?", ["base"], 1)["success"]


def test_a_hundred_requests_at_once_fill_nothing_for_long(stranger: Stranger, url: str) -> None:
    said = [stranger.join(stranger.place("answer"), whole("Why?", ["base"], 8)) for _ in range(100)]
    codes = {reply.status_code for reply in said}
    assert codes <= {200, 429, 503}, codes
    assert sum(reply.status_code != 200 for reply in said) >= 40
    full = [reply.json()["detail"] for reply in said if reply.status_code != 200]
    assert all("full" in one.lower() or "used up" in one for one in full), full[0]
    for _ in range(100):  # what did get in is worked off
        time.sleep(0.3)
        again = Stranger(url)
        if again.join(again.place("answer"), whole("Why?", ["base"], 1)).status_code == 200:
            break
    else:
        raise AssertionError("the queue stays full")


def test_every_way_to_call_is_counted(stranger: Stranger) -> None:
    codes = [stranger.http.post("/gradio_api/call/answer", json={"data": whole("", [])}).status_code for _ in range(70)]
    assert codes[-1] == 429
    assert stranger.http.post("/gradio_api/upload", files={"files": ("a.json", b"{}")}).status_code == 429
    call = {"fn_index": next(d["id"] for d in stranger.config["dependencies"] if d["queue"] is False), "data": []}
    last = [stranger.http.post("/gradio_api/run/predict", json=call).status_code for _ in range(130)][-1]
    assert last == 429, "calls that do not wait are counted too"


def test_uploads_fill_no_disk(stranger: Stranger) -> None:
    files = {"files": ("a.json", b"{}")}
    codes = [stranger.http.post("/gradio_api/upload", files=files).status_code for _ in range(HOSTING.uploads_an_hour)]
    assert set(codes) == {200}
    said = stranger.http.post("/gradio_api/upload", files=files)
    assert (said.status_code, "20 uploads in an hour are allowed" in said.text) == (429, True)


def test_another_visitors_run_is_not_there(stranger: Stranger, url: str, sku_home: Path) -> None:
    mine = visitor_of(type("Request", (), {"cookies": dict(stranger.http.cookies), "headers": {}, "client": None}))
    folder = sku_home / "runs" / "20260101-000000-sku"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(TrainConfig().to_dict()))
    (folder / "job.json").write_text(json.dumps({"owner": mine.owner}))
    assert stranger.call(stranger.place("run_status"), [folder.name])["success"]
    other = Stranger(url)
    assert "no run called" in error(other.call(other.place("run_status"), [folder.name]))
    for handler in ("resume", "delete"):
        assert "no run called" in error(other.call(other.place(handler), [folder.name]))
    assert folder.is_dir()
    bare = Stranger(url)
    bare.http.cookies.clear()
    assert "no run called" in error(bare.call(bare.place("run_status"), [folder.name]))


def test_another_visitors_training_cannot_be_stopped(stranger: Stranger, url: str, sku_home: Path) -> None:
    mine = visitor_of(type("Request", (), {"cookies": dict(stranger.http.cookies), "headers": {}, "client": None}))
    folder = sku_home / "runs" / "20260101-000000-sku"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(TrainConfig().to_dict()))
    work = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        about = {"owner": mine.owner, "pid": work.pid, "created": psutil.Process(work.pid).create_time()}
        (folder / "job.json").write_text(json.dumps(about))
        other = Stranger(url)
        assert "belongs to another visitor" in error(other.call(other.place("cancel"), []))
        assert work.poll() is None
        assert stranger.call(stranger.place("cancel"), [])["success"]
        assert work.wait(10) != 0, "its owner can"
    finally:
        work.kill()


def test_what_is_written_down_of_a_visitor_is_not_their_secret(stranger: Stranger) -> None:
    secret = stranger.http.cookies[VISITOR_COOKIE]
    mine = visitor_of(type("Request", (), {"cookies": {VISITOR_COOKIE: secret}, "headers": {}, "client": None}))
    assert secret not in mine.owner
    assert len(mine.owner) == 32


def test_servers_are_the_owners_list_and_no_visitor_names_an_address(pico_folder: Path) -> None:
    gate = Gate(HOSTING)
    with openai_server() as offered, openai_server() as other:
        owners = {"toy": Server(offered.url, name="toy")}
        page = build_page(RemoteSession(keyword_session(pico_folder), owners), (), gate)
        _, address, _ = launch(page, None, None, gate, prevent_thread_lock=True, quiet=True)
        try:
            visitor = Stranger(address)
            told = visitor.answer("Why?", ["server:toy", "base"])
            assert told["success"], told
            assert told["output"]["data"][0][0]["text"].startswith("You said Why?")
            assert offered.url not in json.dumps(visitor.config) + json.dumps(told)
            for name in (f"server:{other.url}", "server:other", f"server:toy={other.url}", "sku@1+server:toy"):
                assert "server" in error(visitor.answer("Why?", [name]))
        finally:
            page.close()
    assert len(offered.requests) == 1
    assert not other.requests
