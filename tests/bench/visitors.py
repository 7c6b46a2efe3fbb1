"""Measure the page with many visitors at once: errors, answers that went to the wrong visitor, time to the first word.

Every visitor asks a prompt of their own, greedily, through the page's streaming endpoint. Each answer is compared with
the answer that the same prompt got when nobody else was asking.

Run: `python -m tests.bench.visitors`. Prints JSON. An app is started for the measurement unless `--url` names one.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.conftest import is_up

ROOT = Path(__file__).parents[2]
COLUMNS = (["base", "ga", "sku", "base", "base", "base"], [1.0, 1.0, 1.5, 1.0, 1.0, 1.0])
SUBJECTS = [
    *("bread", "rain", "bicycles", "tea", "maps", "clouds", "violins", "snow", "bridges", "bees"),
    *("paper", "tides", "chess", "gardens", "clocks", "lamps", "wool", "rivers", "stars", "kites"),
]


class Visitor:
    """A client that behaves like a visitor's browser."""

    def __init__(self, url: str, name: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=120)
        self.http.get("/")
        self.session = uuid.uuid4().hex
        config = self.http.get("/config").json()
        ids = {c["props"].get("elem_id"): c["id"] for c in config["components"]}
        self.place = next(d["id"] for d in config["dependencies"] if any(t[0] == ids["ask"] for t in d["targets"]))
        self.name = name

    def ask(self, prompt: str, tokens: int) -> tuple[str, list[str], float]:
        """Ask a prompt; return how the request ended, the three answers, and the seconds to the first word."""
        names, coefficients = COLUMNS
        data = [None, prompt, tokens, 0, 0, 2, 3, *names, *coefficients]
        body = {"data": data, "fn_index": self.place, "session_hash": self.session, "trigger_id": None}
        began = time.perf_counter()
        joined = self.http.post("/gradio_api/queue/join", json=body)
        if joined.status_code != 200:
            return f"{joined.status_code} {joined.json().get('detail', '')}"[:80], [], 0.0
        first, shown = 0.0, [""] * 6
        with self.http.stream("GET", "/gradio_api/queue/data", params={"session_hash": self.session}) as stream:
            for line in stream.iter_lines():
                event: dict[str, Any] = json.loads(line[5:]) if line.startswith("data:") else {}
                if event.get("msg") in ("process_generating", "process_completed"):
                    if not event.get("success", True):
                        return str(event["output"].get("error"))[:80], [], 0.0
                    _apply(shown, event["output"].get("data") or [])
                    if not first and any(shown[:3]):
                        first = time.perf_counter() - began
                if event.get("msg") == "process_completed":
                    return "answered", shown[:3], first
        return "the stream ended", [], 0.0


def _apply(shown: list[str], data: list[Any]) -> None:
    """Update the shown texts. Gradio first sends the full state, and then only the changes."""
    for i in range(0, min(len(data), 12), 2):
        part = data[i]
        if isinstance(part, str):
            shown[i // 2] = part
        elif isinstance(part, list):
            for action, path, value in part:
                if not path and action == "replace":
                    shown[i // 2] = value
                elif not path and action == "append":
                    shown[i // 2] += value


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default=None)
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--tokens", type=int, default=24)
    given = parser.parse_args()
    app = None if given.url else _app(7991)
    url = given.url or "http://127.0.0.1:7991"
    try:
        print(json.dumps(measure(url, given.visitors, given.seconds, given.tokens), indent=2))
    finally:
        if app:
            app.terminate()
            app.wait(30)


def measure(url: str, visitors: int, seconds: float, tokens: int) -> dict[str, Any]:
    """Ask every prompt alone first, then all of them at the same time."""
    alone = Visitor(url, "alone")
    prompts = [f"Tell me one thing about {SUBJECTS[i % len(SUBJECTS)]} number {i}." for i in range(visitors)]
    expected = {prompt: alone.ask(prompt, tokens)[1] for prompt in prompts}
    ends: Counter[str] = Counter()
    mixed, firsts, lock = [0], [], threading.Lock()
    until = time.monotonic() + seconds

    def visit(prompt: str) -> None:
        visitor = Visitor(url, prompt)
        while time.monotonic() < until:
            end, answers, first = visitor.ask(prompt, tokens)
            with lock:
                ends[end] += 1
                if end == "answered":
                    firsts.append(first)
                    mixed[0] += answers != expected[prompt]
            if end != "answered":
                time.sleep(2)

    threads = [threading.Thread(target=visit, args=(prompt,)) for prompt in prompts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cuts = statistics.quantiles(firsts, n=20) if len(firsts) > 1 else [0.0] * 19
    return {
        "visitors": visitors,
        "seconds": seconds,
        "new tokens, in each of three columns": tokens,
        "ended": dict(ends),
        "answers that were not the visitor's own": mixed[0],
        "first word, median s": round(statistics.median(firsts), 2) if firsts else None,
        "first word, p95 s": round(cuts[18], 2),
    }


def _app(port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(ROOT / "app.py"), "--port", str(port)]
    app = subprocess.Popen(command, env=os.environ | {"SKU_QUEUE": "12"}, stdout=subprocess.DEVNULL)
    for _ in range(120):
        if is_up(f"http://127.0.0.1:{port}"):
            return app
        time.sleep(0.5)
    app.terminate()
    raise RuntimeError("the app did not come up")


if __name__ == "__main__":
    main()
