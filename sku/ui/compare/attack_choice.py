"""Chooses the attack under which all columns answer, and says what the attack does. All text in HTML is escaped."""

from __future__ import annotations

import html
from dataclasses import dataclass

import gradio as gr

from sku.core.attacks import ATTACKS, MAX_START_CHARACTERS, NO_ATTACK, OWN_PREFILL, QUESTION_ATTACKS, ChosenAttack
from sku.ui.events import Updates

FIRST_START = "Sure, here is how:"
"""What the box for one's own beginning holds when the page opens."""
RECORDED_ONLY = "This page does not run it for a question, because it changes the weights; the Robustness tab shows it."


@dataclass(frozen=True)
class AttackControls:
    """The list of attacks and what belongs to it."""

    choice: gr.Dropdown
    start: gr.Textbox
    """The beginning of every answer; shown only for the attack that takes it."""
    meaning: gr.HTML
    changes_weights: bool
    """Whether the page runs attacks that change weights."""

    def choose(self, name: str) -> Updates:
        """Updates of what belongs to the attack `name`, once it is chosen."""
        return {
            self.start: gr.Textbox(visible=name == OWN_PREFILL),
            self.meaning: "" if name == NO_ATTACK else meaning_html(name, self.changes_weights),
        }

    def hold(self, chosen: ChosenAttack) -> Updates:
        """Updates that choose an attack. Its event then updates what belongs to it."""
        return {self.choice: chosen.name} | ({self.start: chosen.text} if chosen.text else {})


def lay_out_attack_list() -> gr.Dropdown:
    """Lay out the list of attacks."""
    return gr.Dropdown(
        [(ATTACKS[name].label, name) for name in QUESTION_ATTACKS],
        value=NO_ATTACK,
        label="Attack",
        filterable=False,
        scale=0,
        min_width=200,
        elem_id="attack",
    )


def lay_out_attack(choice: gr.Dropdown, changes_weights: bool) -> AttackControls:
    """Lay out what belongs to the attack that is chosen."""
    with gr.Row(elem_id="attack-row"):
        return AttackControls(
            choice=choice,
            start=gr.Textbox(
                FIRST_START,
                label="The answer begins with",
                max_length=MAX_START_CHARACTERS,
                lines=1,
                max_lines=3,
                visible=False,
                scale=1,
                min_width=240,
                elem_id="answer-start",
            ),
            meaning=gr.HTML(elem_id="attack-meaning"),
            changes_weights=changes_weights,
        )


def meaning_html(name: str, changes_weights: bool) -> str:
    """What an attack does, in one line."""
    if name not in QUESTION_ATTACKS:
        return ""
    attack = ATTACKS[name]
    if not changes_weights and not attack.live:
        return html.escape(f"{attack.meaning} {RECORDED_ONLY}")
    turns = " Columns are written one after another." if attack.weaken else ""
    trains = " Each variant is trained for about half a minute, once." if attack.changes == "training" else ""
    return html.escape(attack.meaning + turns + trains)


def start_html(start: str) -> str:
    """The beginning of an answer that the attack had written, for above the text; empty if there is none."""
    return f"<p class='start' title='given by the attack'>{html.escape(start)}</p>" if start else ""
