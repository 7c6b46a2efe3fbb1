"""Rewrite the tables of README and `assets/docs` from recorded data: `python -m sku study --tables`.

Everything between `<!-- table: NAME -->` and `<!-- /table -->` is replaced by the table NAME. No torch is imported.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from sku.core import storage
from sku.data.listing import sources_table
from sku.judges import cards
from sku.reporting import attack_markdown, markdown_tables
from sku.reporting.markdown_tables import JUDGED, RATED, results_table
from sku.study.grid_table import grid_table
from sku.ui.hosting.settings import switches_table

REPOSITORY = storage.ASSETS.parent
TEST, VALIDATION = "test", "validation"
_LIKELIHOOD = ("harmful_log_prob", "safe_log_prob", "preferred", "tokens", "answer_perplexity")
_PRICE = ("harmful", "kl", "perplexity")
_ABLATION = ("keep", "no-distortion", "no-disassociation", "no-preservation")
TABLES: dict[str, Callable[[], str]] = {
    "summary": markdown_tables.summary_table,
    "validation": partial(results_table, VALIDATION),
    "test": partial(results_table, TEST),
    "larger": partial(results_table, JUDGED),
    "rated": partial(results_table, RATED),
    "aims": partial(
        results_table, JUDGED, ("harmful", "over_refusal", "broken", "kl_interval"), ("base", "sku@2.5", "sku@3")
    ),
    "knowledge": partial(results_table, JUDGED, _LIKELIHOOD, ("base", "sku@2.5", "sku@3", "ga@0.5", "ga@1", "keep@2")),
    "ascent": partial(
        results_table,
        JUDGED,
        ("harmful", "refusals", "kl_interval", "perplexity", "similarity"),
        ("base", "sku@1.5", "ga@0.5", "sku@3", "ga@1"),
    ),
    "ascent-length": partial(
        results_table,
        TEST,
        ("harmful", "kl"),
        ("sku@1", "sku@1.5", *(f"ga/step-{step}@1" for step in (10, 20, 30, 40)), "ga@1"),
    ),
    "seeds": partial(
        results_table,
        TEST,
        ("harmful", "kl", "over_refusal"),
        (
            *(f"{form}@{c}" for c in ("2", "2.5") for form in ("sku", "contrast-open-seed1", "contrast-open-seed2")),
            *(f"ga{seed}@1" for seed in ("", "-seed1", "-seed2")),
            *(f"keep{seed}@2" for seed in ("", "-seed1", "-seed2")),
        ),
    ),
    "negation": partial(
        results_table,
        TEST,
        ("harmful", "kl", "over_refusal", "harmful_log_prob"),
        ("base", *(f"{name}@{c}" for c in (1, 2, 3) for name in ("sku", "dpo"))),
    ),
    "contrast-terms": partial(
        results_table,
        TEST,
        ("harmful", "kl", "over_refusal", "broken"),
        ("contrast@3", "contrast-no-preservation@1", "contrast-no-preservation@2"),
    ),
    "published-terms": partial(
        results_table,
        TEST,
        ("harmful", "kl"),
        (*(f"{name}@{c}" for c in (1, 2) for name in _ABLATION), "tv@1", "ft@1", "random-like-keep@2"),
    ),
    "published-sum": partial(
        results_table, JUDGED, ("harmful", "kl", "refusals", "perplexity"), ("base", "sku@2", "keep@2", "tv@1")
    ),
    "push-or-keep": partial(
        results_table,
        TEST,
        _PRICE,
        ("push@0.5", "push@1", "keep-light@0.5", "keep-light@1", "keep-light@2", "keep@2"),
    ),
    "drift": partial(
        results_table,
        TEST,
        ("refusals", "broken", "broken_normal", "similarity", "perplexity"),
        (
            *("base", "sku@1", "sku@2.5", "sku@3", "ga@1", "keep@3", "ga@3", "tv@3", "push@3"),
            *("ga_mismatch@2", "ga_mismatch@3", "contrast-no-preservation@1"),
        ),
    ),
    "truthfulqa": partial(results_table, JUDGED, ("mc1", "mc2")),
    "trainings": grid_table,
    "methods": partial(markdown_tables.methods_table, ablations=False, measured=True),
    "measured-methods": partial(markdown_tables.methods_table, measured=True),
    "all-methods": markdown_tables.method_notes_table,
    "measured-terms": partial(markdown_tables.terms_table, measured=True),
    "terms": markdown_tables.terms_table,
    "sources": lambda: "\n".join(sources_table()),
    "judge": lambda: markdown_tables.agreement_table(cards.embedded_card(), cards.keyword_card()),
    "judge-failures": lambda: markdown_tables.failures_list(cards.embedded_card()),
    "switches": switches_table,
    "attacks": attack_markdown.attacks_table,
    "holds": partial(attack_markdown.summary_table, attack_markdown.SHORT_LIST),
    "robustness": attack_markdown.summary_table,
    "exports": attack_markdown.export_table,
    "relearning": attack_markdown.relearning_table,
    "positions": attack_markdown.positions_table,
    "attack-rows": attack_markdown.rows_table,
}
"""Maps the NAME in a document to the function that returns the table."""
_BLOCK = re.compile(r"(<!-- table: (?P<name>[\w-]+) -->\n).*?(<!-- /table -->)", re.DOTALL)


def documents() -> list[Path]:
    """The README and every document in `assets/docs`."""
    return [REPOSITORY / "README.md", *sorted((REPOSITORY / "assets" / "docs").glob("*.md"))]


def with_tables(text: str) -> str:
    """The text of a document with every table replaced.

    Raises:
        ValueError: for an unknown table, or for a mark without its end.
    """
    if text.count("<!-- table:") != len(_BLOCK.findall(text)):
        raise ValueError("a mark `<!-- table: NAME -->` is not on a line of its own or lacks its `<!-- /table -->`")
    return _BLOCK.sub(_fill_block, text)


def _fill_block(block: re.Match[str]) -> str:
    name = block["name"]
    if name not in TABLES:
        raise ValueError(f"table {name!r} is not known; the tables are {', '.join(TABLES)}")
    return f"{block[1]}{TABLES[name]()}\n{block[3]}"


def write_tables() -> list[Path]:
    """Rewrite every document whose tables differ from the recorded data, and return the paths of these documents."""
    changed = []
    for path in documents():
        text = path.read_text(encoding="utf-8")
        if (updated := with_tables(text)) != text:
            storage.write_atomically(path, updated)
            changed.append(path)
    return changed
