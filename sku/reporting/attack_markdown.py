"""Markdown tables of attacks and of the recorded measurement under attack, for the documents."""

from __future__ import annotations

from collections.abc import Sequence

from sku.core.attacks import ANY_ATTACK, ATTACKS, DEFAULT_SUITE, NO_ATTACK, SUITE_ATTACKS, attack_label
from sku.reporting import result_files
from sku.reporting.formatting import UNKNOWN, fixed, percent
from sku.reporting.markdown_tables import markdown_table
from sku.reporting.robustness_matrix import MatrixCell, RobustnessMatrix, number_text, robustness_matrix, variant_label

EXPORTS = {
    NO_ATTACK: "adapter, or merged in fp32",
    "int8": "merged, GGUF Q8_0",
    "int8-by-output": "merged, 8 bits per output (bitsandbytes)",
    "int4": "merged, GGUF Q4_1",
    "int4-apart": "base in Q4_1, adapter apart",
}
"""The forms in which a variant is exported, by the attack that measures each."""
SHORT_LIST = (NO_ATTACK, "int4", "prefill-generic", "relearn-10", "leak-8", ANY_ATTACK)
"""The attacks of README's table."""
RELEARNING = ("relearn-10", "relearn-50", "relearn-slow", "relearn-benign", "relearn-syntax")


def recorded_matrix() -> RobustnessMatrix:
    """The matrix of the default suite that was recorded with the project."""
    return robustness_matrix(result_files.read_rows(result_files.RECORDED_ATTACKS))


def full_suite_matrix() -> RobustnessMatrix:
    """The matrix of the recorded measurement under more attacks."""
    return robustness_matrix(result_files.read_rows(result_files.full_suite()))


def attacks_table() -> str:
    """Every attack: what the attacker does, and the paper that the procedure follows."""
    lines = (
        (f"`{name}`" + (" *" if name in DEFAULT_SUITE else ""), ATTACKS[name].meaning, ATTACKS[name].paper or UNKNOWN)
        for name in SUITE_ATTACKS
    )
    return markdown_table(("attack", "what the attacker does", "paper"), lines)


def summary_table(attacks: Sequence[str] = (NO_ATTACK, *DEFAULT_SUITE, ANY_ATTACK)) -> str:
    """Harmful rates under the default suite: a line per attack, a column per variant.

    Args:
        attacks: the attacks to show; those that were not recorded are left out.
    """
    return _summary(recorded_matrix(), attacks)


def more_attacks_table() -> str:
    """The same for all recorded attacks; one without answers has its own numbers."""
    return _summary(full_suite_matrix(), (NO_ATTACK, *SUITE_ATTACKS, ANY_ATTACK))


def _summary(matrix: RobustnessMatrix, attacks: Sequence[str]) -> str:
    variants = [(key, variant_label(row)) for key, row in matrix.variants.items()]
    lines = [
        (attack_label(attack), *(_short(matrix.cells.get((variant, attack))) for variant, _ in variants))
        for attack in attacks
        if attack in matrix.attacks
    ]
    return markdown_table(("harmful (recovered)", *(f"`{label}`" for _, label in variants)), lines)


def rows_table() -> str:
    """Every recorded cell that has answers."""
    headers = (
        "variant", "attack", "harmful (95 %)", "recovery (95 %)", "refused", "safe", "off-topic", "broken", "of",
        "harmless refused", "likelihood of given harmful answers", "KL",
    )  # fmt: skip
    matrix = recorded_matrix()
    lines = [
        _whole_line(cell)
        for attack in matrix.attacks
        for cell in matrix.under(attack)
        if cell.answers or attack == ANY_ATTACK
    ]
    return markdown_table(headers, lines)


def export_table() -> str:
    """What each variant does in each form of export: harmful rate, KL from base, share of the vector that is left."""
    matrix = recorded_matrix()
    forms = {attack: form for attack, form in EXPORTS.items() if attack in matrix.attacks}
    lines = [
        (f"`{variant_label(row)}`", *(_export_cell(matrix.cells.get((variant, attack))) for attack in forms))
        for variant, row in matrix.variants.items()
    ]
    return markdown_table(("harmful / KL / vector left", *forms.values()), lines)


def relearning_table() -> str:
    """The likelihood of given harmful answers along each relearning, and the step at which it reaches the base's."""
    matrix = full_suite_matrix()
    cells = [cell for attack in RELEARNING for cell in matrix.under(attack)]
    steps = sorted({int(step) for cell in cells for step in cell.row.attack_details["log_prob_by_step"]})
    lines = []
    for cell in cells:
        details = cell.row.attack_details
        by_step = [details["log_prob_by_step"].get(str(step)) for step in steps]
        reached = details["steps_to_base"]
        values = [fixed(value, 2) for value in by_step]
        first = "not reached" if reached is None else str(reached)
        lines.append((f"`{variant_label(cell.row)}`", attack_label(cell.row.attack or ""), *values, first))
    return markdown_table(("variant", "relearning", *(f"{step} steps" for step in steps), "k*"), lines)


def positions_table() -> str:
    """The likelihood of given harmful answers without attack, from token 0, 5, 10 and 20 on."""
    cells = recorded_matrix().under(NO_ATTACK)
    positions = sorted({int(at) for cell in cells for at in cell.row.log_prob_from})
    lines = (
        (f"`{variant_label(cell.row)}`", *(fixed(cell.row.log_prob_from.get(str(at)), 2) for at in positions))
        for cell in cells
    )
    return markdown_table(("nats per token", *(f"from token {at}" for at in positions)), lines)


def _short(cell: MatrixCell | None) -> str:
    if cell is None:
        return UNKNOWN
    if cell.harmful.rate is None:
        return number_text(cell)
    share = cell.recovery.ratio
    return percent(cell.harmful.rate) + (f" ({percent(share)})" if share is not None else "")


def _whole_line(cell: MatrixCell) -> Sequence[str]:
    row = cell.row
    counts = [row.refusal, row.safe, row.off_topic, row.broken, row.n]
    return (
        f"`{variant_label(row)}`",
        attack_label(row.attack or NO_ATTACK),
        cell.harmful_text,
        cell.recovery_text or UNKNOWN,
        *(UNKNOWN if not cell.answers or count is None else str(count) for count in counts),
        cell.harmless_text,
        fixed(row.harmful_log_prob, 2),
        fixed(row.kl, 3),
    )


def _export_cell(cell: MatrixCell | None) -> str:
    if cell is None:
        return UNKNOWN
    left = cell.row.attack_details.get("survived")
    return " / ".join([percent(cell.harmful.rate), fixed(cell.row.kl, 3), "all" if left is None else percent(left)])
