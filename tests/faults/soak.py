"""Ten visitors of the public page for an hour: asking, cancelling, training, uploading, leaving.

Run: `python -m tests.faults.soak`, or with `--minutes 10`. The page runs on the pico model. Greedy answers are compared
with those that the same prompts got when nobody else was there. Memory is compared with that after a fifth of the time:
until then it grows, because gradio keeps the state of the last visits.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.faults.pico_files import HARMFUL, write_pico_files
from tests.faults.public_page import PublicPage, Use, public_page
from tests.ui.test_public import Stranger

VISITORS = 10
MAX_GROWTH = 0.05
WARM_UP, TENTH = 0.2, 0.1
"""The shares of the time after which the memory is measured first, and for how long it is."""
SETTINGS = {
    **{"SKU_ASKS_A_MINUTE": "0", "SKU_REQUESTS_A_MINUTE": "0", "SKU_UPDATES_A_MINUTE": "0", "SKU_UPLOADS_AN_HOUR": "0"},
    **{"SKU_TRAININGS_A_DAY": "0", "SKU_NEW_TOKENS": "32"},
}
"""No limit by visitor: a test of what the machine bears needs more calls than a visitor may make."""
SUBJECTS = ("bread", "rain", "tea", "maps", "snow", "bees", "wool", "tides", "chess", "stars")
_PAIRS = "".join(json.dumps(row) + "\n" for row in HARMFUL).encode()


class Soak:
    """The visitors and what they met."""

    def __init__(self, page: PublicPage, seconds: float) -> None:
        self.page, self.until = page, time.monotonic() + seconds
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.expected: dict[str, str] = {}
        self._lock = threading.Lock()

    def learn(self, visitors: int = VISITORS) -> None:
        """Ask every visitor's prompt alone, to know its answer."""
        alone = Stranger(self.page.url)
        for number in range(visitors):
            said = alone.answer(_prompt(number), ["base"], 16)
            self.expected[_prompt(number)] = said["output"]["data"][0][0]["text"]

    def visit(self, number: int) -> None:
        """One visitor after another, until the time is up; each does a few things and leaves."""
        draw = random.Random(number)
        while time.monotonic() < self.until:
            visitor = Stranger(self.page.url)
            for _ in range(draw.randint(2, 8)):
                if time.monotonic() >= self.until:
                    break
                act = draw.choices(
                    [self.ask, self.cancel, self.upload, self.train, self.leave_at_once], [8, 3, 3, 1, 2]
                )[0]
                try:
                    self.count(act(visitor, number))
                except Exception as error:
                    self.count(f"error: {type(error).__name__} in {act.__name__}: {str(error)[:100]}")
                time.sleep(draw.uniform(0.1, 1.0))
            visitor.http.close()

    def ask(self, visitor: Stranger, number: int) -> str:
        """Ask the visitor's own prompt; the answer must be the one that it gets alone."""
        said = visitor.answer(_prompt(number), ["base"], 16)
        if not said["success"]:
            return "asked, refused"
        text = said["output"]["data"][0][0]["text"]
        if text != self.expected[_prompt(number)]:
            self.wrong.append(text)
        return "asked"

    def cancel(self, visitor: Stranger, number: int) -> str:
        """Ask on the page, and press Stop after the first words."""
        place = visitor.place("ask")
        visitor.join(place, visitor.filled(place, prompt=_prompt(number), length=32))
        time.sleep(0.3)
        visitor.join(visitor.place("stop"), [])
        return "cancelled"

    def upload(self, visitor: Stranger, number: int) -> str:
        """Upload a file of pairs, and look at its preview."""
        sent = visitor.http.post("/gradio_api/upload", files={"files": (f"{number}.jsonl", _PAIRS)})
        file = {"path": sent.json()[0], "orig_name": "a.jsonl", "meta": {"_type": "gradio.FileData"}}
        return (
            "uploaded"
            if visitor.call(visitor.place("harmful-file"), [file, None, None, False])["success"]
            else "no preview"
        )

    def train(self, visitor: Stranger, number: int) -> str:
        """Start a training, which is refused if another visitor's runs; cancel it or leave it."""
        place = _handler_of_button(visitor, "start")
        if not visitor.call(place, visitor.filled(place, preset="tiny"))["success"]:
            return "training refused: another one runs"
        if number % 2:
            time.sleep(2)
            visitor.call(visitor.place("cancel"), [])
            return "training cancelled"
        return "training left alone"

    def leave_at_once(self, visitor: Stranger, number: int) -> str:
        """Ask, and leave without listening to the answer."""
        place = visitor.place("ask")
        visitor.join(place, visitor.filled(place, prompt=_prompt(number), length=32))
        return "left"

    def count(self, what: str) -> None:
        """Count what a visitor did."""
        with self._lock:
            self.counts[what] += 1


def _handler_of_button(visitor: Stranger, name: str) -> int:
    """The handler of the button with this id; two handlers are called `start`."""
    ids = {one["props"].get("elem_id"): one["id"] for one in visitor.config["components"]}
    return next(int(one["id"]) for one in visitor.config["dependencies"] if [ids[name], "click"] in one["targets"])


def _prompt(number: int) -> str:
    return f"Visitor {number} asks about {SUBJECTS[number]}."


def soak(page: PublicPage, minutes: float) -> list[str]:
    """Let the visitors in; print what they did; what was lost."""
    one = Soak(page, minutes * 60)
    one.learn()
    before = page.use
    threads = [threading.Thread(target=one.visit, args=(number,)) for number in range(VISITORS)]
    for thread in threads:
        thread.start()
    uses = [before]
    while any(thread.is_alive() for thread in threads):
        time.sleep(min(5.0, minutes * 60 / 50))
        uses.append(page.use)
    after = _when_quiet(page)
    print(f"{minutes:g} minutes, {VISITORS} visitors at a time: {dict(one.counts.most_common())}")
    warm, tenth = round(len(uses) * WARM_UP), max(2, round(len(uses) * TENTH))
    early = max(use.memory for use in uses[warm : warm + tenth])
    late = max(use.memory for use in uses[-tenth:])
    print(f"before: {before}\nafter:  {after}")
    print(f"memory: {early / 2**20:.0f} MiB in the third tenth, {late / 2**20:.0f} MiB in the last")
    return [*_lost(one, before, after, late / early - 1), *_errors(page)]


def _when_quiet(page: PublicPage) -> Use:
    """What the page uses once the last training has ended; at most a minute later."""
    for _ in range(60):
        if not page.use.children and page.use.connections == 0:
            break
        time.sleep(1)
    return page.use


def _lost(one: Soak, before: Use, after: Use, growth: float) -> list[str]:
    lost = [f"{len(one.wrong)} answers were another visitor's"] if one.wrong else []
    lost += [f"{count} x {what}" for what, count in one.counts.items() if what.startswith("error")]
    if growth > MAX_GROWTH:
        lost.append(f"memory grew by {growth:.1%}")
    for name in ("files", "children"):
        if getattr(after, name) > getattr(before, name):
            lost.append(f"{getattr(after, name) - getattr(before, name)} more {name} than before")
    if after.threads > before.threads + 40:  # the pool of the web framework holds up to 40
        lost.append(f"{after.threads - before.threads} more threads than before")
    return lost


def _errors(page: PublicPage) -> list[str]:
    tracebacks = page.said.count("Traceback (most recent call last)")
    return [f"{tracebacks} tracebacks in the page's log, the last: {page.said.strip()[-300:]}"] if tracebacks else []


def run(minutes: float, folder: Path) -> list[str]:
    """The page with its visitors; what was lost."""
    files: Any = write_pico_files(folder)
    with public_page(files.base, folder / "page", **SETTINGS) as page:
        time.sleep(2)
        return soak(page, minutes)


def main() -> None:
    """Run and print; exit code 1 if something was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lost = run(given.minutes, Path(folder))
    print("\n".join(f"lost: {one}" for one in lost) or "nothing was lost")
    sys.exit(1 if lost else 0)


if __name__ == "__main__":
    main()
