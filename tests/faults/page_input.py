"""Calls of every handler and endpoint of the running public page, with values that no browser would send."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from tests.faults.generated import JSON_VALUES, altered
from tests.faults.public_page import PublicPage
from tests.faults.readers import Reader
from tests.ui.test_public import Stranger

SETTINGS = {
    **{"SKU_REQUESTS_A_MINUTE": "0", "SKU_UPDATES_A_MINUTE": "0", "SKU_ASKS_A_MINUTE": "0", "SKU_NEW_TOKENS": "8"},
    **{"SKU_SAMPLES": "2", "SKU_TRAINING_MINUTES": "1"},
}
"""Short answers, and no limit that would refuse the calls before they are read."""
_SCRIPTS = {"answer": ["Why?", ["base"], 8, 0.0, 0, 1], "sweep": ["Why?", "base", [0], 8], "run_status": ["none"]}
_TRACEBACK = "Traceback (most recent call last)"


class PageFault(Exception):
    """The page printed a traceback, answered with a code of 500 or more, or gave no reason."""


def page_reader(page: PublicPage) -> Reader:
    """The page as a reader of calls."""
    stranger = Stranger(page.url)
    calls = [
        (int(one["id"]), _SCRIPTS.get(one["api_name"]) or stranger.filled(int(one["id"])))
        for one in stranger.config["dependencies"]
        if one["inputs"] and not str(one["api_name"]).startswith("js_fn")
    ]
    whole = st.sampled_from(calls).flatmap(lambda call: st.tuples(st.just(call[0]), altered(call[1]) | JSON_VALUES))

    def read(call: tuple[int, Any]) -> object:
        before = page.said.count(_TRACEBACK)
        try:
            return _call(stranger, *call)
        finally:
            if page.said.count(_TRACEBACK) > before:
                raise PageFault(page.said.strip().splitlines()[-1][:200])

    return Reader("calls of the page", whole, read)


def _call(stranger: Stranger, place: int, data: Any) -> object:
    body = {"data": data, "fn_index": place, "session_hash": stranger.session, "event_data": None, "trigger_id": None}
    joined = stranger.http.post(
        "/gradio_api/queue/join", content=json.dumps(body), headers={"Content-Type": "application/json"}
    )
    if joined.status_code >= 500 and joined.status_code != 503:
        raise PageFault(f"code {joined.status_code}: {joined.text[:200]}")
    if joined.status_code != 200:
        raise RuntimeError(joined.text)
    said = _end_of_call(stranger, joined.json()["event_id"])
    if not said["success"]:
        if not said["output"].get("error"):
            raise PageFault("an error without a reason")
        raise RuntimeError(said["output"]["error"])
    return said


def _end_of_call(stranger: Stranger, event: str) -> dict[str, Any]:
    with stranger.http.stream("GET", "/gradio_api/queue/data", params={"session_hash": stranger.session}) as stream:
        for line in stream.iter_lines():
            said: dict[str, Any] = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
            if said.get("event_id") == event and said.get("msg") == "process_completed":
                return said
    raise PageFault("the stream ended without an answer")
