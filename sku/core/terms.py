"""The table of loss terms: what each term computes, on which answers, and how its line is drawn.

To add a loss, write it in `training/losses/NAME.py` and add a `Term` here; `core/methods.py` sums terms into methods.
This module does not import torch: a term names its loss function as text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

RowKind = Literal[
    "harmful",
    "random",
    "mismatched",
    "normal",
    "good",
    "paired",
    "safe",
    "given_safe",
    "refused",
    "declined",
    "alternative",
    "evasive",
    "anti_sample",
]
"""The answers that a term is computed on; `training/term_batches.py` draws them.

harmful: harmful answers. random: harmful answers of other prompts. mismatched: normal answers to harmful prompts.
normal: normal answers. good: normal and safe answers. paired: the harmful and the safe answer of a prompt in turn.
safe: safe answers to harmful prompts. declined: a normal answer and a refusal of the same normal prompt in turn.
given_safe: safe answers that the data give, without bundled refusals. refused: refusals of harmful prompts, some after
the first tokens of the harmful answer, which are then part of the prompt (`TrainConfig.given_tokens`).

The base itself writes the last three (`models/written_answers.py`). alternative: a harmful answer and another answer to
the same prompt in turn. evasive: answers that reveal nothing. anti_sample: answers that say why it cannot be done.
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
    needs_other_prompt: bool = False
    """Whether the loss reads the logits of the base for the same answers after another, normal prompt."""
    needs_hidden: bool = False
    """Whether the loss reads the last hidden states, of the model in training and of the base."""
    needs_logits: bool = True
    """Whether the loss reads the logits of the model in training."""
    hidden_at: tuple[float, ...] = ()
    """The levels at which the loss reads hidden states, of the model in training and of the base, as fractions of the
    depth: 0.5 is after half of the decoder blocks. Terms that share rows must name the same levels."""
    share: float = 1.0
    """Rows per step, as a share of `TrainConfig.batch_size`."""
    mean_over: Literal["answers", "tokens", "weighted tokens"] = "answers"
    """What the loss is a mean over. Processes that share a step weigh their means by it: a process with longer answers
    has more tokens. Weighted tokens have the weights of `losses/kl.py`."""
    is_kl: bool = False
    """Whether the loss is the KL from base on normal answers, so that `TrainConfig.kl_budget` may set its weight."""
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
        mean_over="weighted tokens",
        is_kl=True,
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
        mean_over="tokens",
        is_kl=True,
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
    "forgetting": Term(
        "gain:lose",
        "lowers the likelihood of the harmful answer in the model that will be served, up to a bound",
        "harmful",
        LineStyle(VERMILLION, "solid"),
        ("served",),
        needs_base_logits=True,
    ),
    "acquisition": Term(
        "gain:acquire",
        "raises the likelihood of the harmful answer in the acquired model, up to a bound",
        "harmful",
        LineStyle(ORANGE, "dash"),
        needs_base_logits=True,
        share=0.5,
    ),
    "refusing": Term(
        "nll:descend",
        "raises the likelihood of refusals, also after the first tokens of a harmful answer",
        "refused",
        LineStyle(GREEN, "solid"),
        ("served",),
    ),
    "safe_answers": Term(
        "gain:hold",
        "keeps safe answers to harmful prompts as likely as under the base",
        "given_safe",
        LineStyle(SKY, "dashdot"),
        ("served",),
        needs_base_logits=True,
        share=0.5,
        keeps=True,
    ),
    "closeness": Term(
        "kl:stay_close",
        "lowers the KL from base on normal answers in the model that will be served",
        "normal",
        LineStyle(BLUE, "dot"),
        ("served",),
        needs_base_logits=True,
        share=2.0,
        mean_over="weighted tokens",
        is_kl=True,
        keeps=True,
    ),
    "misdirection": Term(
        "representation:misdirect",
        "moves hidden states on harmful answers to one random direction",
        "harmful",
        LineStyle(VERMILLION, "solid"),
        needs_logits=False,
        mean_over="tokens",
        hidden_at=(1 / 3,),
    ),
    "steadiness": Term(
        "representation:keep_squared",
        "keeps hidden states on normal answers, by the squared distance from base",
        "normal",
        LineStyle(BLUE, "dot"),
        needs_logits=False,
        mean_over="tokens",
        hidden_at=(1 / 3,),
        keeps=True,
    ),
    "noising": Term(
        "representation:turn_to_noise",
        "moves hidden states on harmful answers towards Gaussian noise",
        "harmful",
        LineStyle(ORANGE, "dash"),
        needs_logits=False,
        hidden_at=(1 / 3, 2 / 3),
    ),
    "slow_ascent": Term(
        "nll:ascend_slowly",
        "lowers the likelihood of the harmful answer, more slowly the lower it is",
        "harmful",
        LineStyle(VERMILLION, "dashdot"),
    ),
    "rerouting": Term(
        "representation:reroute",
        "turns hidden states on harmful answers until they are orthogonal to those of base",
        "harmful",
        LineStyle(VERMILLION, "dash"),
        needs_logits=False,
        mean_over="tokens",
        hidden_at=(1 / 3, 2 / 3),
    ),
    "holding": Term(
        "representation:keep",
        "keeps hidden states on normal and safe answers, by the distance from base",
        "good",
        LineStyle(BLUE, "dash"),
        needs_logits=False,
        mean_over="tokens",
        hidden_at=(1 / 3, 2 / 3),
        keeps=True,
    ),
    "fine_tuning": Term(
        "nll:descend",
        "raises the likelihood of normal answers and of safe answers to harmful prompts",
        "good",
        LineStyle(GREEN, "solid"),
    ),
    "npo": Term(
        "negative_preference:npo",
        "negative preference: lowers the likelihood of the harmful answer, less and less below that of base",
        "harmful",
        LineStyle(VERMILLION, "solid"),
        needs_base_logits=True,
    ),
    "simnpo": Term(
        "negative_preference:simnpo",
        "negative preference without base: lowers the likelihood of the harmful answer while it is likely",
        "harmful",
        LineStyle(VERMILLION, "solid"),
    ),
    "refusal": Term(
        "nll:descend",
        "raises the likelihood of safe answers and refusals to harmful prompts",
        "safe",
        LineStyle(GREEN, "dash"),
    ),
    "rehearsal": Term(
        "nll:descend",
        "raises the likelihood of normal answers",
        "normal",
        LineStyle(SKY, "dot"),
        ("preserved",),
        keeps=True,
    ),
    "alternative": Term(
        "preference:prefer_alternative",
        "raises the preference for an answer that the base wrote over the harmful answer of the same prompt",
        "alternative",
        LineStyle(PURPLE, "solid"),
        needs_base_logits=True,
    ),
    "answer_preservation": Term(
        "preference:prefer_own_answer",
        "raises the preference for the normal answer over a refusal of the same normal prompt",
        "declined",
        LineStyle(BLUE, "dash"),
        keeps=True,
    ),
    "uniformity": Term(
        "entropy:towards_uniform",
        "lowers the KL from the uniform distribution to the model on harmful answers",
        "harmful",
        LineStyle(ORANGE, "solid"),
    ),
    "entropy": Term(
        "entropy:raise_entropy",
        "raises the entropy of the next token in harmful answers",
        "harmful",
        LineStyle(ORANGE, "dash"),
    ),
    "inverted_hinge": Term(
        "hinge:inverted_hinge",
        "lowers the probability of each token of the harmful answer below that of the next best token",
        "harmful",
        LineStyle(VERMILLION, "dash"),
    ),
    "lowered_target": Term(
        "distillation:lowered_target",
        "lowers the KL from the base with the logit of each harmful token reduced",
        "harmful",
        LineStyle(PURPLE, "dash"),
        needs_base_logits=True,
    ),
    "impossible_target": Term(
        "distillation:impossible_target",
        "lowers the KL from the model's own distribution without the harmful token",
        "harmful",
        LineStyle(PURPLE, "dot"),
    ),
    "other_prompt": Term(
        "distillation:other_prompt",
        "lowers the KL, on harmful answers, from the base after another prompt",
        "harmful",
        LineStyle(GREEN, "solid"),
        needs_other_prompt=True,
    ),
    "evasion": Term(
        "nll:descend",
        "raises the likelihood of answers to harmful prompts that reveal nothing, written by the base",
        "evasive",
        LineStyle(GREEN, "dot"),
    ),
    "anti_sample": Term(
        "nll:descend",
        "raises the likelihood of answers, written by the base, that say why it cannot be done",
        "anti_sample",
        LineStyle(GREEN, "dashdot"),
    ),
    "sensitive_ascent": Term(
        "nll:ascend_on_sensitive_tokens",
        "lowers the likelihood of those tokens of the harmful answer that its prompt makes likelier",
        "harmful",
        LineStyle(VERMILLION, "dot"),
        needs_base_logits=True,
        needs_other_prompt=True,
    ),
}
