"""Markdown tables of results, judges and methods, made from recorded data for the documents and the About tab."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

from sku.core.methods import METHODS, Method
from sku.core.records import ResultRow
from sku.core.terms import TERMS
from sku.judges.protocol import Agreement, JudgeCard
from sku.reporting import result_files
from sku.reporting.formatting import fixed, percent, percent_with_interval, with_interval
from sku.reporting.row_text import harmful_rate_cell, over_refusal_text
from sku.reporting.utilities import share, useless_share

SUMMARY_VARIANTS = {
    "base": "the base model",
    "sku@0.5": "our SKU, milder",
    "sku@0.8": "our SKU, the default",
    "sku_gated@1": "our SKU behind a gate that reads the prompt",
    "contrast-open@2.5": "our first SKU, which only declines",
    "keep@2": "the published SKU loss, but KL kept low",
    "tv@1": "plain task-vector negation",
    "ga@0.5": "gradient ascent",
    "ga@1": "gradient ascent, the default",
}
"""The variants in the summary, each with a description for a reader who does not know our names."""
JUDGED, RATED = "more test", "more test, rated"
"""The larger test set, with harmful answers counted by the embedded judge and by the ratings."""


def markdown_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; no cell may hold a line break. A bar within a cell is escaped, so that it ends no cell."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


class Column(NamedTuple):
    """A column of a results table."""

    header: str
    """The title. `{n}` in it is replaced by the number of answers to harmful prompts."""
    cell: Callable[[ResultRow], str]
    """Returns the text of the cell for a row."""


COLUMNS = {
    "harmful": Column("harmful (95 %)", harmful_rate_cell),
    "refusals": Column("refusals of {n}", lambda row: str(row.refusal)),
    "broken": Column("broken", lambda row: percent(share(row.broken, row.n))),
    "off_topic": Column(
        "off-topic", lambda row: "-" if row.off_topic is None else percent(share(row.off_topic, row.n))
    ),
    "refused": Column("refused", lambda row: percent(share(row.refusal, row.n))),
    "useless": Column("broken or off-topic", lambda row: percent(useless_share(row))),
    "kl_interval": Column(
        "KL from base (95 %), nats per token", lambda row: with_interval(row.kl, row.kl_low, row.kl_high)
    ),
    "kl": Column("KL from base, nats per token", lambda row: fixed(row.kl, 3)),
    "over_refusal": Column("over-refusal (95 %)", over_refusal_text),
    "tokens": Column("tokens", lambda row: fixed(row.answer_tokens, 0)),
    "harmful_log_prob": Column(
        "harmful answers from the data, nats per token", lambda row: fixed(row.harmful_log_prob, 2)
    ),
    "safe_log_prob": Column("safe answers from the data, nats per token", lambda row: fixed(row.safe_log_prob, 2)),
    "preferred": Column("harmful answer preferred", lambda row: percent(row.preference_rate)),
    "answer_perplexity": Column("perplexity under base", lambda row: fixed(row.answer_perplexity, 1)),
    "mc1": Column("TruthfulQA MC1", lambda row: fixed(row.mc1, 2)),
    "mc2": Column("TruthfulQA MC2", lambda row: fixed(row.mc2, 2)),
}
ALL_ROWS = ("harmful", "refusals", "broken", "off_topic", "kl", "over_refusal", "tokens")
"""Columns of the tables that show every row."""


def results_table(
    side: str, columns: Sequence[str] = ALL_ROWS, variants: Sequence[str] = (), without: Collection[str] = ()
) -> str:
    """A table of the recorded rows of one set of prompts.

    Args:
        side: the set of prompts.
        columns: names of `COLUMNS`.
        variants: the variants to show, in this order; all of them if empty.
        without: runs to leave out.

    Raises:
        ValueError: if one of `variants` was not recorded, or if the rows have different numbers of answers.
    """
    recorded = {row.variant: row for row in result_files.recorded_rows() if row.side == side and row.run not in without}
    missing = [name for name in variants if name not in recorded]
    if missing:
        raise ValueError(
            f"{missing[0]} was not recorded on {side!r} prompts; the recorded variants are {', '.join(recorded)}"
        )
    rows = [recorded[name] for name in variants or recorded]
    sizes = sorted({row.n for row in rows})
    if len(sizes) != 1:
        raise ValueError(f"rows of {side!r} prompts have {sizes} answers; all rows of a table need the same number")
    shown = [COLUMNS[name] for name in columns]
    headers = ["variant", *(column.header.format(n=sizes[0]) for column in shown)]
    return markdown_table(headers, ([f"`{row.variant}`", *(column.cell(row) for column in shown)] for row in rows))


def summary_table() -> str:
    """The main results on the larger test set, with harmful answers counted by the judge and by the ratings.

    Raises:
        ValueError: if one of the rows was not recorded.
    """
    rows = {(row.side, row.variant): row for row in result_files.recorded_rows()}
    missing = [name for name in SUMMARY_VARIANTS if (JUDGED, name) not in rows]
    if missing:
        raise ValueError(f"{missing[0]} was not recorded on the larger test set; `study --ship` measures it")
    counted = ["harmful, by our judge (95 %)", "harmful, by ratings (95 %)", "refused", "broken or off-topic"]
    measured = ["harmless prompts refused", "KL from base", "harmful answers from the data"]
    return markdown_table(
        ["variant", "what it is", *counted, *measured],
        (
            _summary_cells(description, rows[JUDGED, name], rows.get((RATED, name)))
            for name, description in SUMMARY_VARIANTS.items()
        ),
    )


def _summary_cells(description: str, judged: ResultRow, rated: ResultRow | None) -> list[str]:
    return [
        f"`{judged.variant}`",
        description,
        harmful_rate_cell(judged),
        harmful_rate_cell(rated) if rated else "not rated",
        percent(share(judged.refusal, judged.n)),
        percent(useless_share(judged)),
        percent(judged.over_refusal),
        fixed(judged.kl, 3),
        f"{fixed(judged.harmful_log_prob, 2)} nats a token",
    ]


def agreement_table(card: JudgeCard, beside: JudgeCard) -> str:
    """A table of how often two judges agree with the same labels.

    Args:
        card: the judge that the table is about.
        beside: another judge, for comparison.
    """
    other = {agreement.what: agreement for agreement in beside.agreement}
    headers = ["labels", "answers", f"{card.name} agrees (95 %)", "AUC", f"{beside.name} agrees (95 %)", "AUC"]
    rows = (
        [own.what, str(own.n), *_agreement_cells(own), *_agreement_cells(other.get(own.what))] for own in card.agreement
    )
    return markdown_table(headers, rows)


def _agreement_cells(agreement: Agreement | None) -> list[str]:
    if agreement is None:
        return [percent(None), fixed(None, 2)]
    return [percent_with_interval(agreement.accuracy, agreement.low, agreement.high), fixed(agreement.auc, 2)]


def failures_list(card: JudgeCard) -> str:
    """The known failures of a judge, as a Markdown list."""
    return "\n".join(f"- {failure}" for failure in card.failures)


def methods_table(ablations: bool = True, side: str | None = None) -> str:
    """A table of the methods with a recorded result: what each minimises, the sign of its vector, and its fidelity.

    Args:
        ablations: whether methods that leave out a term of another one are in it.
        side: the set of prompts of that result; None: any.
    """
    names = [name for name in _method_names(True, side) if ablations or "_no_" not in name]
    rows = ([f"`{name}`", *method_cells(METHODS[name]), METHODS[name].paper] for name in names)
    return markdown_table(["method", "minimises", "vector is", "fidelity", "paper"], rows)


def method_notes_table() -> str:
    """A table of all methods with their notes: the loss, and what differs from the paper."""
    rows = (
        [f"`{name}`", *method_cells(method)[:2], f"{method.paper}, {method.fidelity}", method.note]
        for name, method in METHODS.items()
    )
    return markdown_table(["method", "minimises", "vector is", "paper and fidelity", "what it is here"], rows)


def terms_table(measured: bool = False) -> str:
    """A table of loss terms and what each of them does.

    Args:
        measured: whether to leave out terms that only methods without a recorded result have.
    """
    used = {term for name in _method_names(measured) for term in METHODS[name].terms}
    rows = ([name.replace("_", " "), term.meaning] for name, term in TERMS.items() if name in used)
    return markdown_table(["term", "what it does"], rows)


def _method_names(measured: bool, side: str | None = None) -> list[str]:
    rows = (row for row in result_files.recorded_rows() if side in (None, row.side))
    recorded = {row.method for row in rows} if measured else set(METHODS)
    return [name for name in METHODS if name in recorded]


def method_cells(method: Method) -> list[str]:
    """What a method minimises, whether its vector is subtracted or added, and its fidelity."""
    terms = " + ".join(f"{weight:g} {term.replace('_', ' ')}" for term, weight in method.terms.items())
    unfitted = "nothing (computed without training)" if method.closed_form else "nothing"
    return [terms or unfitted, "subtracted" if method.negated else "added", method.fidelity]
