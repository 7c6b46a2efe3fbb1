"""Compare: one prompt, several variants, a coefficient slider for each.

Model text only ever goes into text boxes, which show it as text.
"""

from __future__ import annotations

import html
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from sku.config import DecodingConfig
from sku.methods import METHODS
from sku.session import Choice, Column, LiveSession
from sku.signs import sign
from sku.variants import BASE, MAX_COEFFICIENT

DEFAULTS = (BASE, "ga", "sku")
MAX_PROMPT = 2000
"""Characters."""
_SLIDER_END = 3.0
_EXAMPLES = Path(__file__).parents[2] / "assets" / "data" / "examples.json"
_GROUPS = {"harmful": "harmful", "normal": "normal", "sounds_harmful": "only sounds harmful"}
_SHOWN = 3


class Panel(NamedTuple):
    """The components of one column."""

    variant: gr.Dropdown
    slider: gr.Slider
    heading: gr.HTML
    answer: gr.Textbox
    facts: gr.Markdown


class Turns:
    """Who may write into a column: the newest request for it, in each visitor's page. An older one falls silent."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: dict[tuple[str, int], int] = {}

    def take(self, visitor: str, columns: Sequence[int]) -> dict[int, int]:
        """Make the caller the newest request for `columns`."""
        with self._lock:
            for column in columns:
                self._newest[visitor, column] = self._newest.get((visitor, column), 0) + 1
            return {column: self._newest[visitor, column] for column in columns}

    def mine(self, visitor: str, turns: dict[int, int]) -> list[int]:
        """The columns for which the request that took `turns` is still the newest."""
        with self._lock:
            return [column for column, turn in turns.items() if self._newest.get((visitor, column)) == turn]

    def leave(self, visitor: str) -> None:
        """Forget a visitor, whose requests then fall silent."""
        with self._lock:
            for key in [key for key in self._newest if key[0] == visitor]:
                del self._newest[key]


class Wiring(NamedTuple):
    """What the frame of the page connects."""

    variants: list[gr.Dropdown]
    """Get `refreshed`'s updates."""
    leave: Callable[[str], None]
    """To be told the session hash of a visitor who left."""


def build(session: LiveSession) -> Wiring:
    """Lay the tab out and wire it."""
    turns = Turns()
    choices = session.choices()
    with gr.Row(elem_id="ask-row"):
        prompt = gr.Textbox(
            placeholder="Ask all models the same thing ...",
            show_label=False,
            lines=1,
            max_lines=6,
            max_length=MAX_PROMPT,
            scale=8,
            elem_id="prompt",
            autofocus=True,
        )
        ask = gr.Button("Ask", variant="primary", scale=1, min_width=90, elem_id="ask")
        again = gr.Button("Again", scale=0, min_width=80, elem_id="again")
        stop = gr.Button("Stop", scale=0, min_width=80, elem_id="stop")
    examples = _examples()
    panels = []
    with gr.Row(elem_id="columns", equal_height=False):
        for i, name in enumerate(DEFAULTS):
            panels.append(_panel(i, name, choices))
    with gr.Accordion("Settings: length, temperature, seed", open=False):
        with gr.Row():
            length = gr.Slider(8, 256, 96, step=8, label="Length, new tokens", elem_id="length")
            temperature = gr.Slider(0, 2, 0, step=0.1, label="Temperature", info="0 is greedy")
            seed = gr.Number(0, precision=0, minimum=0, maximum=2**31 - 1, label="Seed", info="shared by all columns")
        gr.Markdown(
            "With a temperature every column draws from the same noise, so answers differ because the weights do."
        )
    with gr.Row():
        verify = gr.Button("Check: coefficient 0 equals base", size="sm", elem_id="verify", scale=0, min_width=240)
        check = gr.Markdown("", elem_id="check")

    settings = [length, temperature, seed]
    variants = [panel.variant for panel in panels]
    sliders = [panel.slider for panel in panels]
    outputs = [part for panel in panels for part in (panel.answer, panel.facts)]

    def ask_all(request: gr.Request, text: str, *values: Any) -> Iterator[Any]:
        yield from _ask(session, turns, request, text, values, range(len(panels)))

    inputs = [prompt, *settings, *variants, *sliders]
    streaming: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "multiple"}
    for trigger in (ask.click, prompt.submit):
        trigger(ask_all, inputs, outputs, api_name="ask" if trigger == ask.click else False, **streaming)
    again.click(_next_seed, [seed, temperature], seed, api_visibility="private", show_progress="hidden").then(
        ask_all, inputs, outputs, api_visibility="private", **streaming
    )
    for button, text in examples:
        button.click(lambda text=text: text, None, prompt, api_visibility="private", show_progress="hidden").then(
            ask_all, inputs, outputs, api_visibility="private", **streaming
        )
    for i, panel in enumerate(panels):
        ask_one = _asking_one(session, turns, i)

        panel.slider.release(ask_one, inputs, [panel.answer, panel.facts], api_visibility="private", **streaming)
        panel.slider.change(
            _heading_of(session),
            [panel.variant, panel.slider],
            panel.heading,
            api_visibility="private",
            show_progress="hidden",
        )
        panel.variant.input(
            _chosen(session),
            panel.variant,
            [panel.slider, panel.heading],
            api_visibility="private",
            show_progress="hidden",
        ).then(ask_one, inputs, [panel.answer, panel.facts], api_visibility="private", **streaming)

    def stop_all(request: gr.Request) -> None:
        turns.take(str(request.session_hash), range(len(panels)))

    stop.click(stop_all, None, None, queue=False, api_visibility="private")
    verify.click(_check(session), [prompt, *variants], check, api_visibility="private")
    return Wiring(variants, turns.leave)


def refreshed(session: LiveSession) -> list[Any]:
    """Updates for `Wiring.variants`: what was trained since is there, chosen values are kept."""
    options = [(_option(choice), choice.name) for choice in session.choices()]
    return [gr.Dropdown(choices=options) for _ in DEFAULTS]


def _next_seed(seed: float | None, temperature: float) -> int:
    """Greedy answers are the same for every seed, so only sampling moves on."""
    return int(seed or 0) + (1 if temperature else 0)


def _panel(i: int, name: str, choices: list[Choice]) -> Panel:
    by_name = {choice.name: choice for choice in choices}
    choice = by_name.get(name, by_name[BASE])
    with gr.Column(min_width=300, elem_classes="variant-column", elem_id=f"column-{i}"):
        heading = gr.HTML(_heading(choice, choice.default_coefficient), elem_id=f"heading-{i}")
        variant = gr.Dropdown(
            [(_option(c), c.name) for c in choices], value=choice.name, show_label=False, elem_id=f"variant-{i}"
        )
        answer = gr.Textbox(
            show_label=False,
            lines=9,
            max_lines=9,
            interactive=False,
            placeholder="The answer streams here.",
            elem_id=f"answer-{i}",
            elem_classes="answer",
            buttons=["copy"],
        )
        facts = gr.Markdown(" ", elem_id=f"facts-{i}", elem_classes="facts")
        slider = gr.Slider(
            0,
            _SLIDER_END,
            choice.default_coefficient,
            step=0.05,
            label="Coefficient",
            visible=choice.method is not None,
            elem_id=f"coefficient-{i}",
        )
    return Panel(variant, slider, heading, answer, facts)


def _examples() -> list[tuple[gr.Button, str]]:
    buttons = []
    with gr.Row(elem_id="examples"):
        for group, prompts in json.loads(_EXAMPLES.read_text(encoding="utf-8")).items():
            gr.HTML(f"<span>{_GROUPS[group]}:</span>", elem_classes="group", padding=False)
            for example in prompts[:_SHOWN]:
                buttons.append((gr.Button(example["label"], size="sm", min_width=40, scale=0), example["prompt"]))
    return buttons


def _ask(
    session: LiveSession, turns: Turns, request: gr.Request, text: str, values: Sequence[Any], columns: Sequence[int]
) -> Iterator[Any]:
    """Stream answers into `columns`; values are length, temperature, seed, all variants, all coefficients."""
    visitor, count = str(request.session_hash), len(DEFAULTS)
    length, temperature, seed = values[:3]
    names, coefficients = values[3 : 3 + count], values[3 + count :]
    mine = turns.take(visitor, columns)
    if not text.strip():
        raise gr.Error("The prompt is empty; write a question.", title="Nothing to ask")
    if len(text) > MAX_PROMPT:
        raise gr.Error(f"The prompt has {len(text)} characters; at most {MAX_PROMPT} are taken.", title="Too long")
    wanted = [names[i] if names[i] == BASE else f"{names[i]}@{coefficients[i]:g}" for i in columns]
    waking = "" if session.ready else f"*waking: {session.doing or 'loading'}*"
    yield [part for _ in columns for part in ("", waking or "*writing*")]
    try:
        config = DecodingConfig(max_new_tokens=int(length), temperature=float(temperature), seed=int(seed or 0))
        stopped = False
        for state in session.ask(text, wanted, config, lambda: not turns.mine(visitor, mine)):
            live = turns.mine(visitor, mine)
            stopped = not live
            yield [
                part
                for i, column in zip(columns, state, strict=True)
                for part in (_shown(column) if i in live else _silent(column))
            ]
            if stopped:
                return
    except (ValueError, OSError) as error:
        raise gr.Error(str(error), title="No answer") from error


def _asking_one(session: LiveSession, turns: Turns, i: int) -> Any:
    def ask_one(request: gr.Request, text: str, *values: Any) -> Iterator[Any]:
        if text.strip():
            yield from _ask(session, turns, request, text, values, [i])

    return ask_one


def _shown(column: Column) -> tuple[Any, Any]:
    if column.answer is None:
        return "", f"**no answer**: {column.error}"
    answer = column.answer
    speed = f"{answer.tokens / answer.seconds:.0f} tok/s" if answer.seconds > 0 else ""
    return answer.text, f"{answer.tokens} tokens · {speed} · {'writing' if column.writing else answer.stopped}"


def _silent(_: Column) -> tuple[Any, Any]:
    return gr.skip(), gr.skip()


def _option(choice: Choice) -> str:
    return f"{sign(choice.method).mark} {choice.label}"


def _heading(choice: Choice, coefficient: float) -> str:
    mark = sign(choice.method)
    if choice.method is None:
        how = "as it was"
    else:
        verb = "minus" if METHODS[choice.method].negated else "plus"
        how = f"base {verb} {coefficient:g} &times; what it learned"
    name = f"<b>{mark.mark} {html.escape(choice.label)}</b>"
    return f"<div class='variant' style='--colour:{mark.colour}'>{name} <span>{how}</span></div>"


def _find(session: LiveSession, name: str) -> Choice:
    return next((choice for choice in session.choices() if choice.name == name), session.choices()[0])


def _heading_of(session: LiveSession) -> Any:
    return lambda name, coefficient: _heading(_find(session, name), float(coefficient))


def _chosen(session: LiveSession) -> Any:
    def show(name: str) -> tuple[Any, str]:
        choice = _find(session, name)
        value = min(choice.default_coefficient, MAX_COEFFICIENT)
        return gr.Slider(value=value, visible=choice.method is not None), _heading(choice, value)

    return show


def _check(session: LiveSession) -> Any:
    def check(prompt: str, *names: str) -> str:
        lines = []
        for name in dict.fromkeys(name for name in names if name != BASE):
            difference = session.zero_difference(name, prompt.strip() or "What is unlearning?")
            lines.append(f"{name} at coefficient 0 against base: largest logit difference {difference:g}")
        return "  \n".join(lines) or "Only the base is shown; choose another variant to check."

    return check
