"""The data that come with this project, so that everything runs without a network.

`bundled` and `sounds_harmful` have answers; `plain_requests` and `harmful_requests` are prompts only.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from sku.core.records import PairKind, PromptPair
from sku.core.storage import ASSETS
from sku.data import table
from sku.data.dataset import Source

BUNDLED_FOLDER = ASSETS / "data"


@cache
def refusals() -> tuple[str, ...]:
    """Short refusals, for harmful prompts whose source has no safe answer."""
    return tuple(row.text("answer") for row in table.read_table(BUNDLED_FOLDER / "refusals.jsonl", ("answer",)))


@cache
def refusals_for(category: str | None) -> tuple[str, ...]:
    """Refusals that begin alike and give a reason that is true of the category; general ones for any other category."""
    found = _refusals_by_category()
    return found.get(category) or found[None]


@cache
def _refusals_by_category() -> dict[str | None, tuple[str, ...]]:
    found: dict[str | None, tuple[str, ...]] = {}
    for row in table.read_table(BUNDLED_FOLDER / "refusals_by_category.jsonl", ("answer",)):
        category = row.optional("category")
        found[category] = (*found.get(category, ()), row.text("answer"))
    return found


def _read_bundled(path: Path, kind: PairKind) -> Iterator[PromptPair]:
    harmful = kind == "harmful"
    for row in table.read_table(path, ("prompt", "answer", "safe_answer") if harmful else ("prompt", "answer")):
        safe_answer = row.text("safe_answer") if harmful else None
        category = row.optional("category")
        yield PromptPair(row.text("prompt"), row.text("answer"), kind, "bundled", category, safe_answer)


def _read_sounds_harmful(path: Path, kind: PairKind) -> Iterator[PromptPair]:
    """The category says why a prompt sounds harmful."""
    for row in table.read_table(path, ("category", "prompt", "answer")):
        yield PromptPair(row.text("prompt"), row.text("answer"), kind, "sounds_harmful", row.text("category"))


def _read_plain_requests(path: Path, kind: PairKind) -> Iterator[PromptPair]:
    """The category is `twin`: in the words of a harmful prompt, `figure`: only sounds harmful, or `plain`."""
    return _read_prompts(path, kind, "plain_requests")


def _read_harmful_requests(path: Path, kind: PairKind) -> Iterator[PromptPair]:
    return _read_prompts(path, kind, "harmful_requests")


def _read_prompts(path: Path, kind: PairKind, source: str) -> Iterator[PromptPair]:
    """Prompts without answers."""
    for row in table.read_table(path, ("category", "prompt")):
        yield PromptPair(row.text("prompt"), "", kind, source, row.text("category"))


BUNDLED = Source(
    name="bundled",
    description="252 mild harmful pairs in 14 categories, each with a safe answer, and 298 normal pairs; "
    "written for this project",
    licence="Apache-2.0",
    read_pairs=_read_bundled,
    needs_file="forbidden",
    default_file=lambda kind: BUNDLED_FOLDER / f"bundled_{kind}.jsonl",
    labels={"harmful": "bundled (mild, comes with the project)", "normal": "bundled"},
)
SOUNDS_HARMFUL = Source(
    name="sounds_harmful",
    description="182 harmless prompts that only sound harmful, with short answers, for measuring over-refusal; "
    "written for this project",
    licence="Apache-2.0",
    read_pairs=_read_sounds_harmful,
    needs_file="forbidden",
    default_file=lambda _: BUNDLED_FOLDER / "sounds_harmful.jsonl",
    kinds=("normal",),
)
PLAIN_REQUESTS = Source(
    name="plain_requests",
    description="1053 harmless requests in many shapes, 312 of them twins of harmful ones in the same words and shape, "
    "460 that only sound harmful; no answers; written for this project",
    licence="Apache-2.0",
    read_pairs=_read_plain_requests,
    needs_file="forbidden",
    default_file=lambda _: BUNDLED_FOLDER / "plain_requests.jsonl",
    kinds=("normal",),
    has_answers=False,
)
HARMFUL_REQUESTS = Source(
    name="harmful_requests",
    description="303 mild harmful requests in 18 categories and many shapes; no answers; written for this project",
    licence="Apache-2.0",
    read_pairs=_read_harmful_requests,
    needs_file="forbidden",
    default_file=lambda _: BUNDLED_FOLDER / "harmful_requests.jsonl",
    kinds=("harmful",),
    has_answers=False,
)
