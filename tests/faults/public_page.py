"""The public page on the pico model as a process of its own, and what it uses of the machine.

Run by the other commands of this folder: `python -m tests.faults.public_page BASE PORT`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.e2e.conftest import is_up
from tests.ports import free_port

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class PublicPage:
    """A running page."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    home: Path

    @property
    def said(self) -> str:
        """What it printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def use(self) -> Use:
        """What it uses now."""
        process = psutil.Process(self.process.pid)
        files = [file.path for file in process.open_files() if file.path != str(self.log)]
        children = [child for child in process.children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE]
        connections = sum(one.status == psutil.CONN_ESTABLISHED for one in process.net_connections())
        return Use(process.memory_info().rss, process.num_threads(), len(files), len(children), connections)


@dataclass(frozen=True)
class Use:
    """What a page uses of the machine."""

    memory: int
    threads: int
    files: int
    """Open files, without the log."""
    children: int
    connections: int

    def __str__(self) -> str:
        return (
            f"{self.memory / 2**20:.0f} MiB, {self.threads} threads, {self.files} open files, {self.children} child "
            f"processes, {self.connections} connections"
        )


@contextmanager
def public_page(base: Path, folder: Path, **environment: str) -> Iterator[PublicPage]:
    """Serve the page from a process of its own until the block ends.

    Args:
        base: the model.
        folder: gets the page's log, and its home unless `environment` names one.
        environment: more variables, such as SKU_HOME.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port, log = free_port(), folder / "page.log"
    variables = {"SKU_PUBLIC": "1", "SKU_PROXY": "127.0.0.1", "SKU_HOME": str(folder / "home"), "TMPDIR": str(folder)}
    variables |= {"GRADIO_TEMP_DIR": str(folder / "gradio"), "HF_HUB_OFFLINE": "1"} | environment
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.public_page", str(base), str(port)],
            cwd=ROOT, env=os.environ | variables, stdout=output, stderr=output,
        )  # fmt: skip
    page = PublicPage(f"http://127.0.0.1:{port}", process, log, Path(variables["SKU_HOME"]))
    try:
        until = time.monotonic() + 600
        while not is_up(page.url) and process.poll() is None and time.monotonic() < until:
            time.sleep(0.2)
        if process.poll() is not None:
            raise RuntimeError(f"the page did not come up: {page.said[-1000:]}")
        yield page
    finally:
        process.terminate()
        process.wait(30)


def main() -> None:
    """Serve until this process is ended."""
    from sku.ui.hosting.gate import Gate
    from sku.ui.hosting.settings import read_hosting
    from sku.ui.page import build_page, launch
    from tests.conftest import keyword_session

    gate = Gate(read_hosting())
    session = keyword_session(Path(sys.argv[1]))
    session.start()
    launch(build_page(session, (), gate), None, int(sys.argv[2]), gate)


if __name__ == "__main__":
    main()
