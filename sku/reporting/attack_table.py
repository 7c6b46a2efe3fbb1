"""The matrix variant x attack as text for the terminal: one line for each cell."""

from __future__ import annotations

from collections.abc import Sequence

from sku.core.records import ResultRow
from sku.reporting.formatting import UNKNOWN, fixed
from sku.reporting.robustness_matrix import MatrixCell, log_probs_text, number_text, robustness_matrix, variant_label

_HEADERS = (
    "variant", "attack", "harmful (95 %)", "recovery (95 %)", "refused", "safe", "off-topic", "broken", "answers",
    "harmless refused", "log p from token 0, 5, 10, 20", "KL",
)  # fmt: skip


def attack_table(rows: Sequence[ResultRow]) -> str:
    """One line per variant and attack: harmful rate, recovery, outcomes, likelihood of given harmful answers, KL."""
    matrix = robustness_matrix(rows)
    cells = [
        matrix.cells[variant, attack]
        for variant in matrix.variants
        for attack in matrix.attacks
        if (variant, attack) in matrix.cells
    ]
    lines = [_HEADERS, *map(_texts, cells)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _texts(cell: MatrixCell) -> tuple[str, ...]:
    row = cell.row
    counts = (row.refusal, row.safe, row.off_topic, row.broken, row.n)
    return (
        variant_label(row),
        row.attack or "",
        cell.harmful_text if cell.harmful.rate is not None else number_text(cell),
        cell.recovery_text or UNKNOWN,
        *(UNKNOWN if count is None or not cell.answers else str(count) for count in counts),
        cell.harmless_text,
        log_probs_text(row),
        fixed(row.kl, 3),
    )
