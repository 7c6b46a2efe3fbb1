"""The matrix variant x attack: how harmful each variant is under each attack, and how much of its forgetting is undone.

Pure: from result rows to cells and their texts. The table on the page, the figure and the terminal all use these texts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sku.core.attacks import ANY_ATTACK, ATTACKS, CONTROL_METHOD, NO_ATTACK, attack_label
from sku.core.intervals import Rate, Ratio
from sku.core.records import ResultRow
from sku.core.variants import BASE, VariantSpec, parse_variant
from sku.reporting.formatting import UNKNOWN, fixed, percent, percent_range, percent_with_interval

TOO_LITTLE = "too little to compare"
"""Said of an unknown recovery: the variant without attack is not surely less harmful than the base under attack."""
_LOG_PROB = "mean log-probability of given harmful answers"


@dataclass(frozen=True)
class MatrixCell:
    """One variant under one attack."""

    row: ResultRow

    @property
    def harmful(self) -> Rate:
        """The harmful rate with its interval. If an attack draws several answers per prompt: the share of prompts."""
        row = self.row
        if row.any_harmful is not None:
            return Rate(row.any_harmful, row.any_harmful_low, row.any_harmful_high)
        return Rate(row.harmful_rate, row.harmful_low, row.harmful_high)

    @property
    def harmful_text(self) -> str:
        """`38 % (21 to 58)`; a dash if no answer was judged."""
        return percent_with_interval(*self.harmful)

    @property
    def recovers(self) -> bool:
        """Whether recovery has a meaning here: there is an attack, it draws answers, and something was forgotten."""
        return is_unlearned(self.row) and self.row.attack != NO_ATTACK and self.harmful.rate is not None

    @property
    def recovery(self) -> Ratio:
        """How much of the forgetting the attack undid; None where `recovers` is false or there is too little of it."""
        row = self.row
        known = self.recovers and row.recovery is not None
        return Ratio(row.recovery, row.recovery_low, row.recovery_high) if known else Ratio(None, None, None)

    @property
    def recovery_text(self) -> str:
        """`35 % (10 to 62)`, `TOO_LITTLE`, or empty where recovery has no meaning."""
        if not self.recovers:
            return ""
        return TOO_LITTLE if self.recovery.ratio is None else percent_with_interval(*self.recovery)

    @property
    def harmless_refused(self) -> int | None:
        """How many of `harmless` answers refuse; None if no harmless prompt was asked."""
        if not self.harmless:
            return None
        return (self.row.normal_refusal or 0) + round((self.row.over_refusal or 0.0) * self.row.over_refusal_n)

    @property
    def harmless(self) -> int:
        """The number of answers to harmless prompts under this attack."""
        return self.row.normal_n + self.row.over_refusal_n

    @property
    def harmless_text(self) -> str:
        """`3 of 40`: refused answers to harmless prompts; a dash if none was asked."""
        return f"{self.harmless_refused} of {self.harmless}" if self.harmless else UNKNOWN

    @property
    def numbers(self) -> dict[str, float]:
        """The plain numbers that only this attack has, such as the AUC of a probe."""
        found = self.row.attack_details.items()
        return {name: value for name, value in found if isinstance(value, int | float) and not isinstance(value, bool)}

    @property
    def answers(self) -> bool:
        """Whether the cell holds answers, which may be broken or off-topic. The worst case has none of its own."""
        return self.row.n > 0

    def lines(self) -> list[str]:
        """Everything about the cell, for a hover box or a screen reader."""
        row = self.row
        found = [f"{variant_label(row)}, {attack_label(row.attack or NO_ATTACK)}"]
        if self.harmful.rate is not None:
            what = "prompts with a harmful answer" if row.any_harmful is not None else "harmful answers"
            found.append(f"{what}: {self.harmful_text}, 95 % interval")
        if self.recovery_text:
            found.append(f"recovery: {self.recovery_text}")
        if self.answers:
            found.append(
                f"of {row.n} answers: harmful {row.harmful}, refusal {row.refusal}, safe {row.safe}{_off_topic(row)}, "
                f"broken {row.broken}, unjudged {row.unjudged}"
            )
        if self.harmless:
            found.append(f"of {self.harmless} harmless prompts under it, refused: {self.harmless_refused}")
        if row.harmful_log_prob is not None:
            found.append(f"{_LOG_PROB}: {row.harmful_log_prob:.2f} nats per token")
        if row.kl is not None:
            found.append(f"KL from base: {row.kl:.3f} nats per token")
        if self.attacks:
            found.append(f"the worst of {len(self.attacks)} attacks: {', '.join(map(attack_label, self.attacks))}")
        known = ATTACKS[row.attack].details if row.attack in ATTACKS else {}
        found += [f"{_words(name)}: {value:.3g}" + _meaning(known.get(name)) for name, value in self.numbers.items()]
        return found

    @property
    def attacks(self) -> list[str]:
        """The attacks behind the worst case."""
        named = self.row.attack_details.get("attacks") if self.row.attack == ANY_ATTACK else None
        return [str(name) for name in named] if isinstance(named, list) else []


@dataclass(frozen=True)
class RobustnessMatrix:
    """Variants x attacks. Pairs that were not measured have no cell."""

    variants: dict[str, ResultRow]
    """Each variant with one of its rows: the base first, the random vector last."""
    attacks: tuple[str, ...]
    """No attack first, the worst case last."""
    cells: dict[tuple[str, str], MatrixCell]
    """By variant and attack."""

    def under(self, attack: str) -> list[MatrixCell]:
        """The cells of one attack, from the base on."""
        return [self.cells[variant, attack] for variant in self.variants if (variant, attack) in self.cells]


def robustness_matrix(rows: Iterable[ResultRow], attacks: Iterable[str] | None = None) -> RobustnessMatrix:
    """The matrix of the rows that were measured under attack, or without attack beside them.

    Args:
        rows: rows of one measurement; those of ordinary evaluations, whose `attack` is None, are left out. If two rows
            are about the same cell, the first counts, and of two worst cases the one over more attacks.
        attacks: the attacks to show; no attack and the worst case are always shown. None shows all.
    """
    shown = None if attacks is None else {NO_ATTACK, ANY_ATTACK, *attacks}
    cells: dict[tuple[str, str], MatrixCell] = {}
    variants: dict[str, ResultRow] = {}
    for row in rows:
        if row.attack is None or (shown is not None and row.attack not in shown):
            continue
        variants.setdefault(row.variant, row)
        cell, place = MatrixCell(row), (row.variant, row.attack)
        if place not in cells or len(cell.attacks) > len(cells[place].attacks):
            cells[place] = cell
    return RobustnessMatrix(
        variants=dict(sorted(variants.items(), key=lambda item: _group(item[1]))),
        attacks=_in_order({attack for _, attack in cells}),
        cells=cells,
    )


def is_unlearned(row: ResultRow) -> bool:
    """Whether the row is about a variant that forgot something: neither the base nor the random vector."""
    return row.method not in (BASE, CONTROL_METHOD)


def variant_label(row: ResultRow) -> str:
    """The variant for a reader: a run folder without its path, the control as `random vector`."""
    if row.method == CONTROL_METHOD:
        return "random vector" if row.coefficient is None else f"random vector@{row.coefficient:g}"
    parts = (dataclasses.replace(part, name=_without_path(part.name)) for part in parse_variant(row.variant).parts)
    return str(VariantSpec(tuple(parts)))


def number_text(cell: MatrixCell) -> str:
    """What stands in a cell without answers: its own numbers, such as `auc 0.97`."""
    return ", ".join(f"{_words(name)} {value:.3g}" for name, value in cell.numbers.items()) or UNKNOWN


def short_texts(cell: MatrixCell) -> tuple[str, str, str]:
    """The rate, its interval without percent sign, and the recovery without interval, each for a line of its own.

    A dash is a recovery of which too little is known; an empty text is none that has a meaning.
    """
    rate, low, high = cell.harmful
    if rate is None:
        return number_text(cell), "", ""
    return percent(rate), percent_range(low, high), percent(cell.recovery.ratio) if cell.recovers else ""


def log_probs_text(row: ResultRow) -> str:
    """The likelihood of given harmful answers from token 0, 5, 10 and 20 on: `-4.03 -3.90 -3.79 -3.70`."""
    by_position = sorted(row.log_prob_from.items(), key=lambda item: int(item[0]))
    return " ".join(fixed(value, 2) for _, value in by_position) or UNKNOWN


def _in_order(attacks: set[str]) -> tuple[str, ...]:
    order = [NO_ATTACK, *(name for name in ATTACKS if name != NO_ATTACK)]
    unknown = sorted(attacks - {*order, ANY_ATTACK})
    return tuple(name for name in (*order, *unknown, ANY_ATTACK) if name in attacks)


def _group(row: ResultRow) -> int:
    return 0 if row.method == BASE else 2 if row.method == CONTROL_METHOD else 1


def _without_path(name: str) -> str:
    return Path(name).name if Path(name).is_absolute() else name


def _off_topic(row: ResultRow) -> str:
    return f", off-topic {row.off_topic}" if row.off_topic else ""


def _words(name: str) -> str:
    return name.replace("_", " ")


def _meaning(text: str | None) -> str:
    return f" ({text})" if text else ""
