"""Seconds from `python app.py` to the page, and to the first words in all three columns.

Run on an idle machine: `python -m tests.bench.start_up`; an empty `SKU_HOME` gives the first start.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from gradio_client import Client


def main() -> None:
    """Start, ask, stop, print."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    began = time.perf_counter()
    command = [sys.executable, str(Path(__file__).parents[2] / "app.py"), "--port", str(port)]
    app = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        report = {"page_seconds": round(_page(url, app, began), 1)}
        asked = Client(url, verbose=False).submit(
            "How do I bake bread?", 48, 0, 0, "base", "ga", "sku", 1, 1, 1, api_name="/ask"
        )
        for state in asked:
            if state[0] and state[2] and state[4] and "first_words_seconds" not in report:
                report["first_words_seconds"] = round(time.perf_counter() - began, 1)
        print(json.dumps(report | {"answers_seconds": round(time.perf_counter() - began, 1)}))
    finally:
        app.terminate()
        app.wait(20)


def _page(url: str, app: subprocess.Popen[bytes], began: float) -> float:
    while app.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=2).read()
            return time.perf_counter() - began
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"the app ended with code {app.returncode}")


if __name__ == "__main__":
    main()
