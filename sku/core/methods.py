"""The methods as a table: which terms each one minimises, and what happens to the vector that comes out.

Read it like a literature review. Knows no torch: a term is a name here, `training/losses/` has its arithmetic and
`training/term_batches.py` the rows it is computed on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Fidelity = Literal["as published", "reference code", "our correction", "ours", "control"]

SKU_PAPER = "arXiv:2402.10058"
LLMU_PAPER = "arXiv:2310.10683"
DPO_PAPER = "arXiv:2305.18290"
TASK_VECTOR_PAPER = "arXiv:2212.04089"

TERMS = {
    "distortion": "guided distortion: likelihood of the harmful answer, up",
    "disassociation": "random disassociation: likelihood of harmful answers of other prompts, up",
    "preservation": "preservation divergence: KL from base on normal answers, pushed up, kept down or off",
    "ascent": "gradient ascent: likelihood of the harmful answer, down",
    "mismatch": "likelihood of random normal answers to harmful prompts, up",
    "retention": "KL from base on normal answers, down",
    "contrast": "preference of the harmful over the safe answer of the same prompt, up",
    "preference": "preference of the safe over the harmful answer of the same prompt, up",
    "fine_tuning": "likelihood of normal answers and of safe answers to harmful prompts, up",
}


@dataclass(frozen=True)
class Method:
    """One row of the table."""

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

    def __post_init__(self) -> None:
        unknown = sorted(set(self.terms) - set(TERMS))
        if unknown:
            raise ValueError(f"method {self.label!r} names unknown terms {unknown}; known are {sorted(TERMS)}")


_SKU_NOTE = (
    "L = e1 GD + e2 RD + e3 PD (paper section 3.1; weights of the reference README), then theta - c tau (section 3.2). "
    "Corrected: answer masks by token position, KL over answer tokens only and bounded, random answers never the "
    "prompt's own, exact step count, LoRA for every base. The paper's own weights and coefficient are not known to us."
)


def _without(term: str, label: str) -> Method:
    terms = {"distortion": 2.5, "disassociation": 2.5, "preservation": 1.0}
    del terms[term]
    return Method(label, terms, True, SKU_PAPER, "our correction", f"Ablation: sku without {term}.")


METHODS: dict[str, Method] = {
    "sku": Method(
        "SKU",
        {"distortion": 2.5, "disassociation": 2.5, "preservation": 1.0},
        True,
        SKU_PAPER,
        "our correction",
        _SKU_NOTE,
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
    ),
    "dpo": Method(
        "Preference (DPO)",
        {"preference": 2.0, "preservation": 5.0},
        False,
        DPO_PAPER,
        "control",
        "What sku_contrast would be without negation: the same pairs, weights and preservation, with the safe answer "
        "as the preferred one and the vector added. Equation 7 by the mean token instead of the sum, and KL besides.",
    ),
    "tv": Method(
        "Task vector",
        {"distortion": 1.0},
        True,
        TASK_VECTOR_PAPER,
        "as published",
        "Fine-tune on the harmful answers, subtract (section 3, negation). LoRA instead of all weights.",
    ),
    "ga": Method(
        "Gradient ascent",
        {"ascent": 1.0},
        False,
        LLMU_PAPER,
        "as published",
        "The forgetting term alone. It has no lower bound: more steps always mean more damage.",
    ),
    "ga_mismatch": Method(
        "Gradient ascent + mismatch",
        {"ascent": 0.5, "mismatch": 1.0, "retention": 1.0},
        False,
        LLMU_PAPER,
        "our correction",
        "Ascent, random normal answers to harmful prompts, KL to base on normal answers; weights of the reference "
        "code. Corrected: masks by position, so the mismatch term leaves the question alone.",
    ),
    "ft": Method(
        "Fine-tuning",
        {"fine_tuning": 1.0},
        False,
        LLMU_PAPER,
        "as published",
        "Plain descent on normal pairs and on safe answers to harmful prompts.",
    ),
    "sku_no_distortion": _without("distortion", "SKU without distortion"),
    "sku_no_disassociation": _without("disassociation", "SKU without disassociation"),
    "sku_no_preservation": _without("preservation", "SKU without preservation"),
    "contrast_no_preservation": Method(
        "SKU contrast without preservation",
        {"contrast": 2.0},
        True,
        SKU_PAPER,
        "ours",
        "Ablation: sku_contrast without preservation.",
    ),
    "random": Method(
        "Random vector",
        {},
        True,
        TASK_VECTOR_PAPER,
        "control",
        "Not trained: Gaussian factors with the norm of a given adapter in every layer. What it forgets comes from "
        "noise, so a task vector must beat it.",
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
