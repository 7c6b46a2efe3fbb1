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
from sku.study import tuned_tables
from sku.study.grid import TUNED
from sku.study.grid_table import grid_table
from sku.ui.hosting.settings import switches_table

REPOSITORY = storage.ASSETS.parent
TEST, VALIDATION = "test", "validation"
_LIKELIHOOD = ("harmful_log_prob", "safe_log_prob", "preferred", "tokens", "answer_perplexity")
TABLES: dict[str, Callable[[], str]] = {
    "summary": markdown_tables.summary_table,
    "validation": partial(results_table, VALIDATION, without=TUNED),
    "test": partial(results_table, TEST, without=TUNED),
    "tuned": partial(tuned_tables.chosen_table, TEST),
    "tuned-settings": partial(tuned_tables.settings_table, VALIDATION),
    "larger": partial(results_table, JUDGED),
    "rated": partial(results_table, RATED),
    "knowledge": partial(
        results_table,
        JUDGED,
        _LIKELIHOOD,
        ("base", "sku@0.5", "sku@0.8", "sku@1", "contrast-open@2.5", "ga@0.5", "ga@1", "keep@2"),
    ),
    "truthfulqa": partial(results_table, JUDGED, ("mc1", "mc2")),
    "trainings": grid_table,
    "methods": partial(markdown_tables.methods_table, ablations=False, side=JUDGED),
    "measured-methods": markdown_tables.methods_table,
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
    "more-attacks": attack_markdown.more_attacks_table,
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
