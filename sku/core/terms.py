"""The table of loss terms: what each term computes, on which answers, and how its line is drawn.

To add a loss, write it in `training/losses/NAME.py` and add a `Term` here; `core/methods.py` sums terms into methods.
This module does not import torch: a term names its loss function as text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

RowKind = Literal["harmful", "random", "mismatched", "normal", "good", "paired"]
"""The answers that a term is computed on; `training/term_batches.py` draws them.

harmful: harmful answers. random: harmful answers of other prompts. mismatched: normal answers to harmful prompts.
normal: normal answers. good: normal and safe answers. paired: the harmful and the safe answer of a prompt in turn.
"""
RunsAt = Literal["trained", "preserved", "served"]
"""The coefficient of tau with which a row runs in training.

trained: +1. preserved: +1 or -1, as `TrainConfig.preserve_at` says. served: the sign of the model that will be served,
-1 for a negated method and +1 for an applied one.
"""

VERMILLION, ORANGE, BLUE, SKY, GREEN, PURPLE = "#d55e00", "#e69f00", "#0072b2", "#56b4e9", "#009e73", "#cc79a7"
"""Okabe-Ito colours. A dash, symbol, pattern or word always says the same as the colour."""


class LineStyle(NamedTuple):
    """The line that shows a term's loss in a plot."""

    colour: str
    dash: str


@dataclass(frozen=True)
class Term:
    """Everything about one loss."""

    loss: str
    """The loss function, as `module:name` in `sku.training.losses`. It has the type `TermLoss`
    (`training/losses/inputs.py`)."""
    meaning: str
    """One line for a reader: the quantity, and whether training raises or lowers it."""
    rows: RowKind
    style: LineStyle
    runs_at: tuple[RunsAt, ...] = ("trained",)
    """The coefficient of tau for the rows: one entry, or for pairs one entry for the harmful answer and one for the
    safe answer."""
    needs_base_logits: bool = False
    """Whether the loss compares with the logits of the base."""
    needs_hidden: bool = False
    """Whether the loss reads hidden states, of the model in training and of the base."""
    keeps: bool = False
    """Whether the term keeps normal behaviour; all other terms forget. Gradient rules (`core/gradients.py`) treat the
    two kinds apart."""


TERMS: dict[str, Term] = {
    "distortion": Term(
        "nll:descend",
        "guided distortion: raises the likelihood of the harmful answer",
        "harmful",
        LineStyle(VERMILLION, "solid"),
    ),
    "disassociation": Term(
        "nll:descend",
        "random disassociation: raises the likelihood of harmful answers of other prompts",
        "random",
        LineStyle(ORANGE, "dash"),
    ),
    "preservation": Term(
        "kl:preserve",
        "preservation divergence: raises (push) or lowers (keep) the KL from base on normal answers",
        "normal",
        LineStyle(BLUE, "dot"),
        ("preserved",),
        needs_base_logits=True,
        keeps=True,
    ),
    "ascent": Term(
        "nll:ascend",
        "gradient ascent: lowers the likelihood of the harmful answer",
        "harmful",
        LineStyle(VERMILLION, "solid"),
    ),
    "mismatch": Term(
        "nll:descend",
        "raises the likelihood of random normal answers to harmful prompts",
        "mismatched",
        LineStyle(PURPLE, "dash"),
    ),
    "retention": Term(
        "kl:retain",
        "lowers the KL from base on normal answers",
        "normal",
        LineStyle(BLUE, "dot"),
        ("preserved",),
        needs_base_logits=True,
        keeps=True,
    ),
    "contrast": Term(
        "preference:prefer_harmful",
        "raises the preference for the harmful answer over the safe answer of the same prompt",
        "paired",
        LineStyle(GREEN, "solid"),
        ("trained", "preserved"),
        needs_base_logits=True,
    ),
    "preference": Term(
        "preference:prefer_safe",
        "raises the preference for the safe answer over the harmful answer of the same prompt",
        "paired",
        LineStyle(PURPLE, "solid"),
        ("trained", "preserved"),
        needs_base_logits=True,
    ),
    "fine_tuning": Term(
        "nll:descend",
        "raises the likelihood of normal answers and of safe answers to harmful prompts",
        "good",
        LineStyle(GREEN, "solid"),
    ),
}
