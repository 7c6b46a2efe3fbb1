"""The matrix variant x attack as text for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from sku.core.records import ResultRow


def attack_table(rows: Sequence[ResultRow]) -> str:
    """One line per variant and attack: outcomes, harmful rate, recovery, likelihood, KL."""
    head = f"{'variant':<26}{'attack':<22}{'harmful':>9}{'any':>6}{'refused':>9}{'safe':>6}{'off':>5}{'broken':>8}" + (
        f"{'recovery':>10}{'log p':>8}{'KL':>8}"
    )
    return "\n".join([head, *(_line(row) for row in rows)])


def _line(row: ResultRow) -> str:
    def number(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    harmful = f"{row.harmful}/{row.n}" if row.n else "-"
    return (
        f"{row.variant.split('/')[-1]:<26}{row.attack or '':<22}{harmful:>9}{number(row.any_harmful, '.0%'):>6}"
        f"{row.refusal:>9}{row.safe:>6}{number(row.off_topic, 'd'):>5}{row.broken:>8}{number(row.recovery, '.0%'):>10}"
        f"{number(row.harmful_log_prob, '.2f'):>8}{number(row.kl, '.3f'):>8}"
    )
