"""Names the components of Compare that handlers read and change. `layout.py` creates them."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from sku.ui.compare.attack_choice import AttackControls
from sku.ui.compare.column import ColumnComponents
from sku.ui.compare.controls import ColumnControls, Controls
from sku.ui.compare.conversation import ConversationControls
from sku.ui.events import Values


@dataclass(frozen=True)
class AskRow:
    """The prompt and its buttons."""

    prompt: gr.Textbox
    ask: gr.Button
    stop: gr.Button
    """Shown only while answers are being written."""


@dataclass(frozen=True)
class ExampleButton:
    """A button of the tour, which asks an example prompt."""

    button: gr.Button
    prompt: str


@dataclass(frozen=True)
class Toolbar:
    """The controls above the columns."""

    view: gr.Radio
    count: gr.Radio
    """The number of columns."""
    link: gr.Button
    exports: gr.HTML
    more: gr.Button
    """Shows and hides the row with the other tools."""


@dataclass(frozen=True)
class LensControls:
    """Chooses the answer that the token lens shows."""

    row: gr.Row
    source: gr.Dropdown
    text: gr.Textbox


@dataclass(frozen=True)
class DecodingControls:
    """The decoding settings, and the button that asks again with the next seed."""

    again: gr.Button
    length: gr.Slider
    temperature: gr.Slider
    seed: gr.Number
    samples: gr.Slider


@dataclass(frozen=True)
class ZeroCheckRow:
    """The check that coefficient 0 is the base."""

    button: gr.Button
    result: gr.Markdown


@dataclass(frozen=True)
class BatchPanel:
    """Asks many prompts at once."""

    prompts: gr.Textbox
    """One prompt per line."""
    upload: gr.UploadButton
    start: gr.Button
    summary: gr.HTML
    """The rates of every column, and the link that downloads the grid."""
    grid: gr.Dataframe


@dataclass(frozen=True)
class CompareComponents:
    """All components of the tab that handlers read or change."""

    shown: gr.State
    """The visitor's `ShownAnswers`."""
    ask_row: AskRow
    conversation: ConversationControls
    tour: tuple[ExampleButton, ...]
    more_examples: gr.Dropdown
    """Its value is the prompt of the chosen example."""
    attack: AttackControls
    columns: tuple[ColumnComponents, ...]
    found: gr.HTML
    """What was found for this prompt, in one line."""
    column_tabs: gr.HTML
    """On a phone: a tab for each column, with its verdict."""
    toolbar: Toolbar
    ask_samples: gr.Button
    upload: gr.UploadButton
    """Imports an exported comparison."""
    link: gr.Textbox
    link_copied: gr.Textbox
    """Not empty if the browser copied the link."""
    lens: LensControls
    rate_scale: gr.HTML
    history: gr.Dropdown
    decoding: DecodingControls
    zero_check: ZeroCheckRow
    batch: BatchPanel
    fragment: gr.Textbox
    """The part of the page's address after the #."""
    address_changed: gr.Button
    """Hidden; clicked by a script when the address in the tab changes, as by Back or a second link."""

    @property
    def standing(self) -> set[gr.components.Component]:
        """The components that decide which variants are shown."""
        lists = {part for column in self.columns for part in (column.variant, column.slider)}
        return {self.toolbar.count} | lists

    @property
    def settings(self) -> set[gr.components.Component]:
        """The prompt, the conversation before it, the attack and the decoding settings."""
        how, attack, before = self.decoding, self.attack, self.conversation
        question = {self.ask_row.prompt, before.system, before.earlier, attack.choice, attack.start}
        return question | {how.length, how.temperature, how.seed, how.samples}

    @property
    def controls(self) -> set[gr.components.Component]:
        """The components that `read` reads."""
        return self.settings | self.standing

    @property
    def answering(self) -> set[gr.components.Component]:
        """The answers of all columns, what stands above and the lines below them."""
        return {part for column in self.columns for part in column.answering}

    @property
    def restored(self) -> set[gr.components.Component]:
        """The components that a link or a file restores, except the answers."""
        columns = {part for column in self.columns for part in ({column.column} | column.holding)}
        return self.settings | columns | {self.toolbar.count}

    def read(self, values: Values) -> Controls:
        """The values of the controls. Those that are not among the event's inputs are None."""
        return Controls(
            prompt=values.get(self.ask_row.prompt),
            length=values.get(self.decoding.length),
            temperature=values.get(self.decoding.temperature),
            seed=values.get(self.decoding.seed),
            samples=values.get(self.decoding.samples),
            count=values.get(self.toolbar.count),
            columns=tuple(ColumnControls(values.get(c.variant), values.get(c.slider)) for c in self.columns),
            attack=values.get(self.attack.choice),
            answer_start=values.get(self.attack.start),
            system=values.get(self.conversation.system),
            earlier=values.get(self.conversation.earlier),
        )
