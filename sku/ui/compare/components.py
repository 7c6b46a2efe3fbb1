"""The components of Compare, named: what handlers read and change. `layout.py` makes them."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from sku.ui.compare.column import ColumnComponents
from sku.ui.compare.controls import ColumnControls, Controls
from sku.ui.events import Values


@dataclass(frozen=True)
class AskRow:
    """Where a prompt is asked."""

    prompt: gr.Textbox
    ask: gr.Button
    again: gr.Button
    stop: gr.Button


@dataclass(frozen=True)
class ExampleButton:
    """A button that asks a prompt."""

    button: gr.Button
    prompt: str


@dataclass(frozen=True)
class Toolbar:
    """What stands beneath the columns."""

    view: gr.Radio
    count: gr.Radio
    """Of columns."""
    ask_samples: gr.Button
    link: gr.Button
    upload: gr.UploadButton
    exports: gr.HTML


@dataclass(frozen=True)
class LensControls:
    """What lies under the token lens."""

    row: gr.Row
    source: gr.Dropdown
    text: gr.Textbox


@dataclass(frozen=True)
class DecodingControls:
    """How answers are written."""

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
class CompareComponents:
    """All components of the tab that are read or changed."""

    shown: gr.State
    """The visitor's `ShownAnswers`."""
    ask_row: AskRow
    examples: tuple[ExampleButton, ...]
    columns: tuple[ColumnComponents, ...]
    toolbar: Toolbar
    link: gr.Textbox
    lens: LensControls
    rate_scale: gr.HTML
    history: gr.Dropdown
    decoding: DecodingControls
    zero_check: ZeroCheckRow
    fragment: gr.Textbox
    """What the address holds behind its #, when the page opens."""

    @property
    def standing(self) -> set[gr.components.Component]:
        """What tells which variants are shown."""
        lists = {part for column in self.columns for part in (column.variant, column.slider)}
        return {self.toolbar.count} | lists

    @property
    def settings(self) -> set[gr.components.Component]:
        """The prompt and how it is answered."""
        how = self.decoding
        return {self.ask_row.prompt, how.length, how.temperature, how.seed, how.samples}

    @property
    def controls(self) -> set[gr.components.Component]:
        """What `read` reads."""
        return self.settings | self.standing

    @property
    def answering(self) -> set[gr.components.Component]:
        """Answers and facts of all columns."""
        return {part for column in self.columns for part in column.answering}

    @property
    def restored(self) -> set[gr.components.Component]:
        """What a link or a file brings back, answers aside."""
        columns = {part for column in self.columns for part in ({column.column} | column.holding)}
        return self.settings | columns | {self.toolbar.count}

    def read(self, values: Values) -> Controls:
        """The values of the controls; those that were not asked for are None."""
        return Controls(
            prompt=values.get(self.ask_row.prompt),
            length=values.get(self.decoding.length),
            temperature=values.get(self.decoding.temperature),
            seed=values.get(self.decoding.seed),
            samples=values.get(self.decoding.samples),
            count=values.get(self.toolbar.count),
            columns=tuple(ColumnControls(values.get(c.variant), values.get(c.slider)) for c in self.columns),
        )
