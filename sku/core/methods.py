"""The methods as a table: which terms each one minimises, and what happens to the vector that comes out.

Read it like a literature review. Settings, help, live plot, page and documents derive from these records. To add a
method, write its loss in `training/losses/NAME.py` and add a `Term` and a `Method` here. Knows no torch: a term names
its function as text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Fidelity = Literal["as published", "reference code", "our correction", "ours", "control"]
RowKind = Literal["harmful", "random", "mismatched", "normal", "good", "paired"]
"""Which answers a term is computed on (`training/term_batches.py` draws them): harmful ones; harmful ones of other
prompts; normal ones to harmful prompts; normal ones; normal and safe ones; a harmful and a safe one by turns."""
RunsAt = Literal["trained", "preserved", "served"]
"""The coefficient of tau at which a row runs in training: +1; where good answers are preserved
(`TrainConfig.preserve_at`); or what is served, -1 for a negated method and +1 for an applied one."""
Factors = Literal["both", "A", "B"]

SKU_PAPER = "arXiv:2402.10058"
LLMU_PAPER = "arXiv:2310.10683"
DPO_PAPER = "arXiv:2305.18290"
TASK_VECTOR_PAPER = "arXiv:2212.04089"

VERMILLION, ORANGE, BLUE, SKY, GREEN, PURPLE = "#d55e00", "#e69f00", "#0072b2", "#56b4e9", "#009e73", "#cc79a7"
"""Okabe-Ito colours, never used alone."""


class LineStyle(NamedTuple):
    """How a term's loss is drawn."""

    colour: str
    dash: str


class Marker(NamedTuple):
    """How a method or an outcome is marked in text and figures."""

    colour: str
    mark: str
    symbol: str
    """The mark as plotly calls it."""


@dataclass(frozen=True)
class Term:
    """Everything about one loss."""

    loss: str
    """The function, `module:name` under `sku.training.losses`; a `TermLoss` of `training/losses/inputs.py`."""
    meaning: str
    rows: RowKind
    style: LineStyle
    runs_at: tuple[RunsAt, ...] = ("trained",)
    """Where the rows run: one entry, or for pairs one for the harmful and one for the safe answer."""
    needs_base_logits: bool = False
    needs_hidden: bool = False


@dataclass(frozen=True)
class Method:
    """Everything about one method."""

    label: str
    """How the page names it."""
    terms: dict[str, float]
    """Term names and their weights in the sum that is minimised."""
    negated: bool
    """True: the trained vector is subtracted from the base (stage 2). False: it is added."""
    paper: str
    fidelity: Fidelity
    note: str
    """What differs from the paper or the reference code, and where in the paper the sum stands."""
    marker: Marker
    settings: dict[str, Any] = field(default_factory=dict)
    """Recommended settings for the default model, on top of a preset's."""
    preserve_at: Literal["acquired", "negated"] = "acquired"
    """Where good answers are preserved unless a run says otherwise: in base + tau, as published, or in base - tau."""
    trained_factors: Factors = "both"
    """Which of the LoRA factors A and B are trained; the other stays as it was initialised."""
    unbounded: bool = False
    """The loss has no lower bound, so every step does more damage: the page keeps three points along the run."""
    unpublished_marker: Marker | None = None
    """Used in place of `marker` where the preservation is not the published one."""
    prepare: str | None = None
    """A function that sets the factors from the data before the first step, `module:name` under `sku.training` (a
    `Preparation` of `training/lora.py`). It depends on data and seed alone, so that a resumed run agrees."""

    def __post_init__(self) -> None:
        unknown = sorted(set(self.terms) - set(TERMS))
        if unknown:
            raise ValueError(f"method {self.label!r} names unknown terms {unknown}; known are {sorted(TERMS)}")


TERMS: dict[str, Term] = {
    "distortion": Term(
        "nll:descend",
        "guided distortion: likelihood of the harmful answer, up",
        "harmful",
        LineStyle(VERMILLION, "solid"),
    ),
    "disassociation": Term(
        "nll:descend",
        "random disassociation: likelihood of harmful answers of other prompts, up",
        "random",
        LineStyle(ORANGE, "dash"),
    ),
    "preservation": Term(
        "kl:preserve",
        "preservation divergence: KL from base on normal answers, pushed up, kept down or off",
        "normal",
        LineStyle(BLUE, "dot"),
        ("preserved",),
        needs_base_logits=True,
    ),
    "ascent": Term(
        "nll:ascend",
        "gradient ascent: likelihood of the harmful answer, down",
        "harmful",
        LineStyle(VERMILLION, "solid"),
    ),
    "mismatch": Term(
        "nll:descend",
        "likelihood of random normal answers to harmful prompts, up",
        "mismatched",
        LineStyle(PURPLE, "dash"),
    ),
    "retention": Term(
        "kl:retain",
        "KL from base on normal answers, down",
        "normal",
        LineStyle(BLUE, "dot"),
        ("preserved",),
        needs_base_logits=True,
    ),
    "contrast": Term(
        "preference:prefer_harmful",
        "preference of the harmful over the safe answer of the same prompt, up",
        "paired",
        LineStyle(GREEN, "solid"),
        ("trained", "preserved"),
        needs_base_logits=True,
    ),
    "preference": Term(
        "preference:prefer_safe",
        "preference of the safe over the harmful answer of the same prompt, up",
        "paired",
        LineStyle(PURPLE, "solid"),
        ("trained", "preserved"),
        needs_base_logits=True,
    ),
    "fine_tuning": Term(
        "nll:descend",
        "likelihood of normal answers and of safe answers to harmful prompts, up",
        "good",
        LineStyle(GREEN, "solid"),
    ),
}

_SKU_TERMS = {"distortion": 2.5, "disassociation": 2.5, "preservation": 1.0}


def _ablation(term: str, marker: Marker) -> Method:
    terms = {name: weight for name, weight in _SKU_TERMS.items() if name != term}
    note = f"Ablation: sku without {term}."
    return Method(f"SKU without {term}", terms, True, SKU_PAPER, "our correction", note, marker)


METHODS: dict[str, Method] = {
    "sku": Method(
        "SKU",
        _SKU_TERMS,
        True,
        SKU_PAPER,
        "our correction",
        "L = e1 GD + e2 RD + e3 PD (paper section 3.1; weights of the reference README), then theta - c tau (section "
        "3.2). Corrected: answer masks by token position, KL over answer tokens only and bounded, random answers never "
        "the prompt's own, exact step count, LoRA for every base. The paper's own weights and coefficient are unknown.",
        Marker(BLUE, "■", "square"),
        unpublished_marker=Marker(SKY, "✦", "star-diamond"),
    ),
    "sku_contrast": Method(
        "SKU contrast",
        {"contrast": 2.0, "preservation": 5.0},
        True,
        SKU_PAPER,
        "ours",
        "Stage 1 learns to prefer the harmful to the safe answer of the same prompt: preference optimisation (DPO, "
        "arXiv:2305.18290, by the mean token) with the signs exchanged; stage 2 subtracts as in the paper. In place of "
        "guided distortion and random disassociation. Safe and normal answers are kept in base - tau, where they will "
        "be served, not in base + tau.",
        Marker(GREEN, "◆", "diamond"),
        preserve_at="negated",
    ),
    "dpo": Method(
        "Preference (DPO)",
        {"preference": 2.0, "preservation": 5.0},
        False,
        DPO_PAPER,
        "control",
        "What sku_contrast would be without negation: the same pairs, weights and preservation, with the safe answer "
        "as the preferred one and the vector added. Equation 7 by the mean token instead of the sum, and KL besides.",
        Marker(PURPLE, "⬟", "pentagon"),
    ),
    "tv": Method(
        "Task vector",
        {"distortion": 1.0},
        True,
        TASK_VECTOR_PAPER,
        "as published",
        "Fine-tune on the harmful answers, subtract (section 3, negation). LoRA instead of all weights.",
        Marker("#8c6d1f", "⋈", "bowtie"),
    ),
    "ga": Method(
        "Gradient ascent",
        {"ascent": 1.0},
        False,
        LLMU_PAPER,
        "as published",
        "The forgetting term alone. It has no lower bound: more steps always mean more damage.",
        Marker(VERMILLION, "▲", "triangle-up"),
        unbounded=True,
    ),
    "ga_mismatch": Method(
        "Gradient ascent + mismatch",
        {"ascent": 0.5, "mismatch": 1.0, "retention": 1.0},
        False,
        LLMU_PAPER,
        "our correction",
        "Ascent, random normal answers to harmful prompts, KL to base on normal answers; weights of the reference "
        "code. Corrected: masks by position, so the mismatch term leaves the question alone.",
        Marker(ORANGE, "▶", "triangle-right"),
        unbounded=True,
    ),
    "ft": Method(
        "Fine-tuning",
        {"fine_tuning": 1.0},
        False,
        LLMU_PAPER,
        "as published",
        "Plain descent on normal pairs and on safe answers to harmful prompts.",
        Marker(PURPLE, "✚", "cross"),
    ),
    "sku_no_distortion": _ablation("distortion", Marker(SKY, "□", "square-open")),
    "sku_no_disassociation": _ablation("disassociation", Marker(SKY, "⊠", "square-x-open")),
    "sku_no_preservation": _ablation("preservation", Marker(SKY, "⊞", "square-cross-open")),
    "contrast_no_preservation": Method(
        "SKU contrast without preservation",
        {"contrast": 2.0},
        True,
        SKU_PAPER,
        "ours",
        "Ablation: sku_contrast without preservation.",
        Marker(GREEN, "◇", "diamond-open"),
        preserve_at="negated",
    ),
    "random": Method(
        "Random vector",
        {},
        True,
        TASK_VECTOR_PAPER,
        "control",
        "Not trained: Gaussian factors with the norm of a given adapter in every layer. What it forgets comes from "
        "noise, so a task vector must beat it.",
        Marker("#b0b0b0", "•", "circle"),
    ),
}


def find_method(name: str) -> Method:
    """The method called `name`.

    Raises:
        ValueError: for an unknown name, with the known ones.
    """
    if name not in METHODS:
        raise ValueError(f"method {name!r} is not known; choose one of {', '.join(METHODS)}")
    return METHODS[name]
