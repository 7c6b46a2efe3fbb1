"""The sentence above the matrix of attacks: what an attack brings back of the forgetting of each method."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from sku.core.attacks import ANY_ATTACK, NO_ATTACK, attack_label
from sku.core.methods import METHODS
from sku.reporting.formatting import percent
from sku.reporting.robustness_matrix import MatrixCell, RobustnessMatrix, variant_label

TOLD_FIRST = "int4"
"""The attack of the sentence wherever it brings something back. Rounding is no attacker's work: everybody does it who
makes a model smaller."""
_DOES = {"int4": "Rounding to 4 bits brings back"}
_MOST_NAMED = 3


class RecoveryFinding(NamedTuple):
    """What the sentence says."""

    attack: str
    compared: tuple[MatrixCell, ...]
    """The variants whose recovery under this attack is known, the largest first."""
    not_compared: tuple[MatrixCell, ...]
    """The variants of which too little is known."""


def recovery_finding(matrix: RobustnessMatrix) -> RecoveryFinding | None:
    """The finding about `TOLD_FIRST`, or about the attack with the largest recovery if that brings nothing back.

    None if no attack on any unlearned variant was measured.
    """
    found = [_finding(matrix, attack) for attack in matrix.attacks if attack not in (NO_ATTACK, ANY_ATTACK)]
    measured = [one for one in found if one.compared or one.not_compared]
    first = next((one for one in measured if one.attack == TOLD_FIRST and _largest(one) > 0), None)
    return first or max(measured, key=lambda one: (_largest(one), one.attack == TOLD_FIRST), default=None)


def recovery_words(cell: MatrixCell) -> str:
    """`35 %`; `nothing` at or below 0; with `perhaps` if the interval includes 0."""
    ratio, low, _ = cell.recovery
    if ratio is None or ratio <= 0:
        return "nothing"
    return f"perhaps {percent(ratio)}" if low is not None and low <= 0 else percent(ratio)


def finding_text(
    finding: RecoveryFinding,
    number: Callable[[MatrixCell], str] = recovery_words,
    escape: Callable[[str], str] = str,
) -> str:
    """The finding in one sentence, and a second one for variants of which too little is known.

    Args:
        finding: what is said.
        number: writes the recovery of a cell, such as `35 %`; the page adds the interval.
        escape: applied to the names of variants.
    """
    names = _names([*finding.compared, *finding.not_compared])

    def name(cell: MatrixCell) -> str:
        return escape(names(cell))

    sentences = []
    if finding.compared:
        first, *others = _named(finding.compared)
        parts = [f"{number(first)} of what {name(first)} removed"]
        parts += [f"{number(cell)} of {_possessive(name(cell))}" for cell in others]
        does = _DOES.get(finding.attack, f"The attack “{attack_label(finding.attack)}” brings back")
        sentences.append(f"{does} {', '.join(parts)}.")
    if finding.not_compared:
        listed = _listed([name(cell) for cell in finding.not_compared])
        attack = f"“{attack_label(finding.attack)}”"
        sentences.append(f"{_capital(listed)} removed too little on these prompts to tell what {attack} brings back.")
    return " ".join(sentences)


def _finding(matrix: RobustnessMatrix, attack: str) -> RecoveryFinding:
    cells = [cell for cell in matrix.under(attack) if cell.recovers]
    compared = sorted((one for one in cells if one.recovery.ratio is not None), key=_ratio, reverse=True)
    not_compared = [one for one in cells if one.recovery.ratio is None]
    return RecoveryFinding(attack, tuple(compared), tuple(not_compared))


def _ratio(cell: MatrixCell) -> float:
    return cell.recovery.ratio or 0.0


def _largest(finding: RecoveryFinding) -> float:
    return max(map(_ratio, finding.compared), default=-1.0)


def _named(cells: Sequence[MatrixCell]) -> list[MatrixCell]:
    """The largest recoveries and the smallest."""
    return list(cells) if len(cells) <= _MOST_NAMED else [*cells[: _MOST_NAMED - 1], cells[-1]]


def _names(cells: Sequence[MatrixCell]) -> Callable[[MatrixCell], str]:
    """A function that names a cell's variant: a run called `ga`, `sku` and so on by that method, any other as it is.

    Two coefficients of one run keep their names too.
    """
    runs = Counter(cell.row.run for cell in cells)

    def name(cell: MatrixCell) -> str:
        run = cell.row.run
        return _within_sentence(METHODS[run].label) if run in METHODS and runs[run] == 1 else variant_label(cell.row)

    return name


def _within_sentence(label: str) -> str:
    """`gradient ascent`, but `SKU`."""
    return label if label[:2].isupper() else label[0].lower() + label[1:]


def _possessive(name: str) -> str:
    return f"{name}'s"


def _capital(text: str) -> str:
    """With a capital in front, unless the text begins with the name of a variant, such as `sku@1`."""
    return text if "@" in text.split()[0] else text[0].upper() + text[1:]


def _listed(names: list[str]) -> str:
    rest = len(names) - _MOST_NAMED
    *first, last = [*names[:_MOST_NAMED], f"{rest} more"] if rest > 0 else names
    return f"{', '.join(first)} and {last}" if first else last
