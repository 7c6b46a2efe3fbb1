"""What Compare offers to other tabs: the variants that it shows, and a way to open another variant in a column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from sku.core.attacks import ANY_ATTACK, ATTACKS, NO_ATTACK, QUESTION_ATTACKS, attack_label
from sku.core.config import TrainConfig
from sku.core.variants import BASE, parse_variant
from sku.serving.variant_catalog import CatalogEntry
from sku.ui.compare.column_variant import ColumnVariant, column_variant
from sku.ui.compare.components import CompareComponents
from sku.ui.events import QUIET, Updates, Values
from sku.ui.hosting.access import Access
from sku.ui.hosting.gate import Gate
from sku.ui.messages import inform, refusal

SHIPPED_SKU = "sku"
"""The shipped adapter beside which a run is shown."""


@dataclass(frozen=True)
class CompareInterface:
    """The Compare tab, as other tabs see it."""

    components: CompareComponents
    access: Access
    tabs: gr.Tabs

    @property
    def inputs(self) -> set[gr.components.Component]:
        """The components that a handler must have among its inputs to call `standing`."""
        return self.components.standing

    def standing(self, values: Values) -> list[str]:
        """The variants that Compare shows, column by column; empty while one of them is only half typed."""
        try:
            return self.components.read(values).variants()
        except ValueError:
            return []

    def open_on(
        self,
        event: Callable[..., Any],
        i: int,
        point: gr.components.Component,
        attack: gr.components.Component | None = None,
    ) -> None:
        """When `event` fires, put the variant that `point` names into column `i`, show Compare and ask the column.

        Args:
            event: such as a button's `click`.
            i: the column.
            point: its value is the variant.
            attack: its value is the name of the attack to switch on; None leaves the attack as it is.
        """
        parts, column = self.components, self.components.columns[i]

        def place(request: gr.Request, values: Values) -> Updates:
            entries = self.access.entries(request)
            try:
                variant = point_variant(values[point], entries, self.access.gate)
            except ValueError as error:
                raise refusal(error, "Not opened") from error
            count = max(values[parts.toolbar.count], i + 1)
            shown = {self.tabs: gr.Tabs(selected="compare"), parts.toolbar.count: count}
            if attack:
                shown[parts.attack.choice] = offered_attack(values[attack])
            return shown | column.choose(variant, entries, values)

        shown = {self.tabs, parts.toolbar.count} | ({parts.attack.choice} if attack else set())
        inputs = {point, parts.toolbar.count, column.choice_count} | ({attack} if attack else set())
        event(place, inputs, shown | column.holding, js=show_column(i), **QUIET)

    def open_beside(self, event: Callable[..., Any], run: gr.components.Component) -> None:
        """When `event` fires, show the base, SKU and a run in the first three columns of Compare, and ask them.

        Args:
            event: such as a button's `click`.
            run: its value is the name of the run.
        """
        parts, columns = self.components, self.components.columns[:3]

        def place(request: gr.Request, values: Values) -> Updates:
            entries = self.access.entries(request)
            names = [entry.name for entry in entries]
            if values[run] not in names:
                raise refusal(
                    f"run {str(values[run])[:60]!r} has no adapter yet; wait until it is finished", "Not opened"
                )
            wanted = [name for name in (BASE, SHIPPED_SKU, values[run]) if name in names]
            updates: Updates = {self.tabs: gr.Tabs(selected="compare"), parts.toolbar.count: len(wanted)}
            if not str(values[parts.ask_row.prompt] or "").strip():
                updates[parts.ask_row.prompt] = TrainConfig.probe
            for column, name in zip(columns, wanted, strict=False):
                updates |= column.choose(column_variant(name, entries, self.access.gate), entries, values)
            return updates

        holding = {part for column in columns for part in column.holding}
        counts = {column.choice_count for column in columns}
        inputs = {run, parts.ask_row.prompt} | counts
        outputs = {self.tabs, parts.toolbar.count, parts.ask_row.prompt} | holding
        event(place, inputs, outputs, js=show_column(len(columns) - 1), **QUIET)


def show_column(i: int) -> str:
    """A script that makes column `i` the one that a phone shows, and passes its inputs on."""
    return f"(...inputs) => {{ document.getElementById('columns').dataset.shown = '{i}'; return inputs; }}"


def offered_attack(name: Any) -> str:
    """The attack called `name` if Compare offers it; otherwise no attack, with a message."""
    if name in QUESTION_ATTACKS:
        return str(name)
    known = isinstance(name, str) and (name in ATTACKS or name == ANY_ATTACK)
    inform(
        f"Compare cannot ask under “{attack_label(name)}”, so no attack is switched on."
        if known
        else "This attack is not known, so no attack is switched on.",
        title="Without attack",
    )
    return NO_ATTACK


def point_variant(text: str | None, entries: Sequence[CatalogEntry], gate: Gate) -> ColumnVariant:
    """The variant of a measured point.

    Raises:
        ValueError: if no point is chosen, or its weights are not on this machine.
    """
    if not text:
        raise ValueError("no point is chosen; choose one from the list or click a row of the table")
    if not {entry.name for entry in entries} >= set(parse_variant(text).names):
        raise ValueError(f"the weights of {text} are not on this machine; choose a shipped variant or one of your runs")
    return column_variant(text, entries, gate)
