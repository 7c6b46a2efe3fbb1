"""The table of methods: the loss terms that each method minimises, and whether its vector is subtracted or added.

Read it like a literature review. Settings, help texts, the live plot, the page and the documents are derived from these
records. To add a method, write its loss in `training/losses/NAME.py` and add a `Term` to `core/terms.py` and a `Method`
here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from sku.core.terms import BLUE, GREEN, ORANGE, PURPLE, SKY, TERMS, VERMILLION

Fidelity = Literal["as published", "reference code", "our correction", "ours", "control"]
Factors = Literal["both", "A", "B"]
Optimizer = Literal["adamw", "sophia"]
"""adamw: AdamW. sophia: Sophia, which divides by the curvature and clips each step (`training/optimizers.py`)."""

SKU_PAPER = "arXiv:2402.10058"
LLMU_PAPER = "arXiv:2310.10683"
DPO_PAPER = "arXiv:2305.18290"
TASK_VECTOR_PAPER = "arXiv:2212.04089"
SOUL_PAPER = "arXiv:2404.18239"
SAM_PAPER = "arXiv:2502.05374"
WAGLE_PAPER = "arXiv:2410.17509"
MEMFLEX_PAPER = "arXiv:2407.01920"
SUV_PAPER = "arXiv:2503.22948"
SSU_PAPER = "arXiv:2406.10952"
PKE_PAPER = "arXiv:2410.03772"
GRUN_PAPER = "arXiv:2502.17823"


class Marker(NamedTuple):
    """The mark of a method or an outcome in text and figures."""

    colour: str
    mark: str
    symbol: str
    """Plotly's name of the mark."""


@dataclass(frozen=True)
class Method:
    """Everything about one method."""

    label: str
    """The method's name on the page."""
    terms: dict[str, float]
    """Term names and their weights in the sum that is minimised."""
    negated: bool
    """True if the trained vector is subtracted from the base (stage 2), False if it is added."""
    paper: str
    """The arXiv number of the paper that introduced the method."""
    fidelity: Fidelity
    """How close this implementation is to the paper."""
    note: str
    """What differs from the paper or the reference code, and the section of the paper that defines the loss."""
    marker: Marker
    settings: dict[str, Any] = field(default_factory=dict)
    """Recommended settings for the default model. They replace those of a preset."""
    preserve_at: Literal["acquired", "negated"] = "acquired"
    """The model in which good answers are preserved by default: base + tau (acquired), as published, or base - tau
    (negated)."""
    trained_factors: Factors = "both"
    """The LoRA factors that are trained: A, B or both. A factor that is not trained keeps its initial values."""
    unbounded: bool = False
    """Whether the loss has no lower bound, so that every step does more damage. The page then keeps three points along
    the run."""
    unpublished_marker: Marker | None = None
    """The marker of a run whose preservation is not the published one; None: `marker`."""
    prepare: str | None = None
    """A function that sets the LoRA factors from the data before the first step, as `module:name` in `sku.training`. It
    has the type `Preparation` (`training/lora.py`). It must depend only on data and seed, so that a resumed run gets
    the same factors."""
    gradient: str = "sum"
    """How the gradients of forgetting and of keeping terms become one step (`core/gradients.py`)."""
    optimizer: Optimizer = "adamw"

    def __post_init__(self) -> None:
        unknown = sorted(set(self.terms) - set(TERMS))
        if unknown:
            raise ValueError(
                f"method {self.label!r} names unknown terms {unknown}; the known terms are {sorted(TERMS)}"
            )


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
        "3.2). Corrected: answer masks use token positions; the KL is bounded and covers answer tokens only; a random "
        "answer is never the prompt's own; the step count is exact; every base is trained with LoRA. The paper does "
        "not state its weights and coefficient.",
        Marker(BLUE, "■", "square"),
        unpublished_marker=Marker(SKY, "✦", "star-diamond"),
    ),
    "sku_contrast": Method(
        "SKU contrast",
        {"contrast": 2.0, "preservation": 5.0},
        True,
        SKU_PAPER,
        "ours",
        "Replaces guided distortion and random disassociation. Stage 1 learns to prefer the harmful answer to the safe "
        "answer of the same prompt: preference optimisation (DPO, arXiv:2305.18290) with the two answers exchanged and "
        "the mean over tokens instead of the sum. Stage 2 subtracts the vector as in the paper. Safe and normal "
        "answers are preserved in base - tau, the model that will be served, not in base + tau.",
        Marker(GREEN, "◆", "diamond"),
        preserve_at="negated",
    ),
    "dpo": Method(
        "Preference (DPO)",
        {"preference": 2.0, "preservation": 5.0},
        False,
        DPO_PAPER,
        "control",
        "The control for sku_contrast, without negation: the same pairs, weights and preservation, but the safe answer "
        "is preferred and the vector is added. Differs from equation 7 of the paper by the mean over tokens instead of "
        "the sum, and by the added KL term.",
        Marker(PURPLE, "⬟", "pentagon"),
    ),
    "tv": Method(
        "Task vector",
        {"distortion": 1.0},
        True,
        TASK_VECTOR_PAPER,
        "as published",
        "Fine-tunes on the harmful answers and subtracts the vector (section 3, negation). Trains LoRA, not all "
        "weights.",
        Marker("#8c6d1f", "⋈", "bowtie"),
    ),
    "ga": Method(
        "Gradient ascent",
        {"ascent": 1.0},
        False,
        LLMU_PAPER,
        "as published",
        "The forgetting term alone. The loss has no lower bound: more steps always mean more damage.",
        Marker(VERMILLION, "▲", "triangle-up"),
        unbounded=True,
    ),
    "ga_mismatch": Method(
        "Gradient ascent + mismatch",
        {"ascent": 0.5, "mismatch": 1.0, "retention": 1.0},
        False,
        LLMU_PAPER,
        "our correction",
        "Three terms: ascent, random normal answers to harmful prompts, and KL from base on normal answers. The "
        "weights are those of the reference code. Corrected: answer masks use token positions, so the mismatch term "
        "does not train on the question.",
        Marker(ORANGE, "▶", "triangle-right"),
        unbounded=True,
    ),
    "ft": Method(
        "Fine-tuning",
        {"fine_tuning": 1.0},
        False,
        LLMU_PAPER,
        "as published",
        "Ordinary fine-tuning on normal pairs and on safe answers to harmful prompts.",
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
    "soul": Method(
        "SOUL",
        {"ascent": 0.5, "retention": 1.0},
        False,
        SOUL_PAPER,
        "our correction",
        "Gradient difference with the second-order optimiser Sophia: each entry moves in proportion to gradient over "
        "curvature, at most by the learning rate (section 4). Differs: the curvature is the squared gradient of the "
        "step, without labels drawn from the model; normal answers are kept by KL, not by their likelihood.",
        Marker(SKY, "◎", "circle-dot"),
        settings={"learning_rate": 5e-4},
        unbounded=True,
        optimizer="sophia",
    ),
    "sam": Method(
        "Sharpness-aware (SAM)",
        {"ascent": 0.5, "retention": 1.0},
        False,
        SAM_PAPER,
        "our correction",
        "The forget gradient is taken at theta + rho g / |g|, where g is the forget gradient at theta, so that small "
        "changes of the weights undo less (section 4). Differs: rho is a length in the space of the LoRA factors.",
        Marker(BLUE, "▣", "square-dot"),
        settings={"learning_rate": 5e-4},
        unbounded=True,
        gradient="sam",
    ),
    "wagle": Method(
        "Weight attribution (WAGLE)",
        {"ascent": 0.5, "retention": 1.0},
        False,
        WAGLE_PAPER,
        "our correction",
        "Gradient difference that changes only the entries with the highest attribution score, "
        "|(theta - g_n / gamma) g_h| (section 4). Differs: an entry is one of B, and theta is the base's weight along "
        "the matching row of A; gamma makes both parts count alike; normal answers are kept by KL.",
        Marker(GREEN, "◈", "diamond-dot"),
        settings={"learning_rate": 5e-4},
        unbounded=True,
        gradient="attribution",
    ),
    "memflex": Method(
        "MemFlex",
        {"ascent": 0.5, "retention": 1.0},
        False,
        MEMFLEX_PAPER,
        "our correction",
        "Gradient difference that changes only LoRA modules whose gradient on harmful answers is large and has a "
        "cosine of at most 0.92 with that on normal answers (section 4). Differs: large means at least half of the "
        "median norm, not an absolute number; modules are chosen once, at the base.",
        Marker(ORANGE, "⊛", "hexagram-dot"),
        settings={"learning_rate": 5e-4},
        unbounded=True,
        gradient="modules",
    ),
    "suv": Method(
        "SUV",
        {"preference": 2.0, "preservation": 5.0},
        False,
        SUV_PAPER,
        "our correction",
        "Preference for the safe answer, with the gradient projected off what raises the KL on normal answers, and a "
        "Fisher penalty on the weights (section 3). Differs: the Fisher information is that of B at the base, divided "
        "by its mean; preference by the mean over tokens.",
        Marker(PURPLE, "◬", "triangle-up-dot"),
        gradient="fisher",
    ),
    "ssu": Method(
        "SSU",
        {"distortion": 1.0, "disassociation": 0.5},
        True,
        SSU_PAPER,
        "our correction",
        "Learns the harmful answers and random other ones, changes only entries whose gradient is at least the mean "
        "plus one standard deviation of its matrix, and subtracts the vector (section 3): task vectors with a mask. "
        "Differs: the answers are forgotten at once, not in a row of unlearning requests; AdamW's momentum still moves "
        "an entry in steps that mask it.",
        Marker(VERMILLION, "◍", "octagon-dot"),
        gradient="saliency",
    ),
    "pke": Method(
        "Precision knowledge editing (PKE)",
        {"preference": 2.0, "preservation": 5.0},
        False,
        PKE_PAPER,
        "our correction",
        "Finds the toxic layers, and changes only those so that the safe answer is preferred (section III). Differs: a "
        "layer's score is the gradient norm of harmful answers over that of normal ones, and a quarter of the layers "
        "is changed; the loss is a preference with KL on normal answers.",
        Marker(SKY, "⌖", "cross-dot"),
        gradient="layers",
    ),
    "gated": Method(
        "Gated vector (GRUN)",
        {},
        False,
        GRUN_PAPER,
        "our correction",
        "Not trained: the adapter of a given run, applied to a prompt as far as a gate is open. The gate is a ridge "
        "probe of the base's hidden state at the last prompt token (the paper trains a soft gate on ReFT modules, "
        "section 4). The gate is not part of the weights, so an export loses it.",
        Marker(GREEN, "⬠", "pentagon-dot"),
        settings={"normal": ("bundled", "sounds_harmful"), "normal_limit": None},
    ),
    "random": Method(
        "Random vector",
        {},
        True,
        TASK_VECTOR_PAPER,
        "control",
        "Not trained: Gaussian factors that have the norm of a given adapter in every layer. All forgetting here is "
        "the effect of noise, so a task vector must do better.",
        Marker("#b0b0b0", "•", "circle"),
    ),
}


def find_method(name: str) -> Method:
    """The method called `name`.

    Raises:
        ValueError: if the name is unknown; the message lists the known names.
    """
    if name not in METHODS:
        raise ValueError(f"method {name!r} is not known; choose one of {', '.join(METHODS)}")
    return METHODS[name]
