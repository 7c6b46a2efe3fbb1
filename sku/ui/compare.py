"""Compare: one prompt, several variants, a coefficient slider for each.

Model text only ever goes into text boxes, which show it as text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from sku.choices import Choice
from sku.session import LiveSession
from sku.ui import badges
from sku.ui.asking import MAX_PROMPT, asker
from sku.ui.turns import Turns
from sku.variants import BASE, MAX_COEFFICIENT, parse

DEFAULTS = (BASE, "ga", "sku")
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
    facts: gr.HTML


class Wiring(NamedTuple):
    """What the frame of the page connects."""

    panels: list[Panel]
    """Their variants get `refreshed`'s updates."""
    asking: list[Callable[..., Iterator[Any]]]
    """Each asks one column alone, from `inputs` to its answer and facts; silent while there is no prompt."""
    inputs: list[Any]
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

    ask_all = asker(session, turns, range(len(panels)))
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
    asking = [asker(session, turns, [i], silent=True) for i in range(len(panels))]
    for i, panel in enumerate(panels):
        ask_one = asking[i]
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
        turns.stop(str(request.session_hash), range(len(panels)))

    stop.click(stop_all, None, None, queue=False, api_visibility="private")
    verify.click(_check(session), [prompt, *variants], check, api_visibility="private")
    return Wiring(panels, asking, inputs, turns.leave)


def refreshed(session: LiveSession) -> list[Any]:
    """Updates for `Wiring.variants`: what was trained since is there, chosen values are kept."""
    options = _options(session)
    return [gr.Dropdown(choices=options) for _ in DEFAULTS]


def placed(session: LiveSession, text: str | None) -> list[Any]:
    """Updates of a column's variant, slider and heading that put the variant `text` there.

    Raises:
        ValueError: if nothing is chosen, or it is not on this machine.
    """
    if not text:
        raise ValueError("no point is chosen; choose one from the list, or a row of the table")
    spec = parse(text)
    choice = next((choice for choice in session.choices() if choice.name == spec.name), None)
    if choice is None or spec.acquired:
        raise ValueError(f"{text} was measured elsewhere: its weights are not on this machine; choose a shipped point")
    coefficient = choice.default_coefficient if spec.coefficient is None else spec.coefficient
    return [gr.Dropdown(choices=_options(session), value=choice.name), *_set(choice, coefficient)]


def _options(session: LiveSession) -> list[tuple[str, str]]:
    return [(badges.option(choice), choice.name) for choice in session.choices()]


def _next_seed(seed: float | None, temperature: float) -> int:
    """Greedy answers are the same for every seed, so only sampling moves on."""
    return int(seed or 0) + (1 if temperature else 0)


def _panel(i: int, name: str, choices: list[Choice]) -> Panel:
    by_name = {choice.name: choice for choice in choices}
    choice = by_name.get(name, by_name[BASE])
    with gr.Column(min_width=300, elem_classes="variant-column", elem_id=f"column-{i}"):
        heading = gr.HTML(badges.heading(choice, choice.default_coefficient), elem_id=f"heading-{i}")
        variant = gr.Dropdown(
            [(badges.option(c), c.name) for c in choices], value=choice.name, show_label=False, elem_id=f"variant-{i}"
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
        facts = gr.HTML(" ", elem_id=f"facts-{i}", elem_classes="facts")
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


def _find(session: LiveSession, name: str) -> Choice:
    return next((choice for choice in session.choices() if choice.name == name), session.choices()[0])


def _heading_of(session: LiveSession) -> Any:
    return lambda name, coefficient: badges.heading(_find(session, name), float(coefficient))


def _chosen(session: LiveSession) -> Any:
    def show(name: str) -> list[Any]:
        choice = _find(session, name)
        return _set(choice, min(choice.default_coefficient, MAX_COEFFICIENT))

    return show


def _set(choice: Choice, coefficient: float) -> list[Any]:
    """Updates of a column's slider and heading."""
    slider = gr.Slider(value=coefficient, maximum=max(_SLIDER_END, coefficient), visible=choice.method is not None)
    return [slider, badges.heading(choice, coefficient)]


def _check(session: LiveSession) -> Any:
    def check(prompt: str, *names: str) -> str:
        lines = []
        for name in dict.fromkeys(name for name in names if name != BASE):
            difference = session.zero_difference(name, prompt.strip() or "What is unlearning?")
            lines.append(f"{name} at coefficient 0 against base: largest logit difference {difference:g}")
        return "  \n".join(lines) or "Only the base is shown; choose another variant to check."

    return check
