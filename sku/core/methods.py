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
RMU_PAPER = "arXiv:2403.03218"
CIRCUIT_BREAKERS_PAPER = "arXiv:2406.04313"
TASK_VECTOR_PAPER = "arXiv:2212.04089"
SOUL_PAPER = "arXiv:2404.18239"
SAM_PAPER = "arXiv:2502.05374"
WAGLE_PAPER = "arXiv:2410.17509"
MEMFLEX_PAPER = "arXiv:2407.01920"
SUV_PAPER = "arXiv:2503.22948"
SSU_PAPER = "arXiv:2406.10952"
REGLU_PAPER = "arXiv:2604.17396"
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
    """The arXiv number of the paper that introduced the method, or its number in the ACL Anthology."""
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
    beta: float = 4.0
    """The method's default for `TrainConfig.beta`. With the mean over tokens, 4 is about what papers call 0.1 with the
    sum."""
    coefficient: float = 1.0
    """The recommended coefficient, at which a run opens."""
    unbounded: bool = False
    """Whether the loss has no lower bound, so that every step does more damage. The page then keeps three points along
    the run."""
    unpublished_marker: Marker | None = None
    """The marker of a run whose preservation is not the published one; None: `marker`."""
    prepare: str | None = None
    """A function that sets the LoRA factors from the data before the first step, as `module:name` in `sku.training`. It
    has the type `Preparation` (`training/lora.py`). It must depend only on data and seed."""
    closed_form: str | None = None
    """For a method without terms and steps: the function that computes the change of the weights, as `module:name` in
    `sku.training.closed_forms`. It has the type `ClosedForm` (`training/closed_forms/inputs.py`)."""
    gradient: str = "sum"
    """How the gradients of forgetting and of keeping terms become one step (`core/gradients.py`)."""
    optimizer: Optimizer = "adamw"

    def __post_init__(self) -> None:
        unknown = sorted(set(self.terms) - set(TERMS))
        if unknown:
            raise ValueError(
                f"method {self.label!r} names unknown terms {unknown}; the known terms are {sorted(TERMS)}"
            )


UNMEASURED = {"steps": 60}
"""Recommended settings that no search has confirmed: with the defaults of `TrainConfig` (LoRA of rank 32 on q and v,
learning rate 1e-3, batch 4), enough for every method to move the default model."""
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
    "sku_directions": Method(
        "SKU directions",
        {"forgetting": 4.0, "acquisition": 0.3, "refusing": 2.5, "safe_answers": 2.0, "closeness": 20.0},
        True,
        SKU_PAPER,
        "ours",
        "Keeps the two stages: stage 1 acquires harmful knowledge, stage 2 subtracts the vector. Three things differ "
        "from the paper. The adapters of the MLPs read only the directions in which inputs on harmful prompts differ "
        "most from inputs on normal ones: A is fixed to the leading generalised eigenvectors of their second moments, "
        "and only B is trained (ReGLU, arXiv:2604.17396, starts A in a similar way). The losses are computed in "
        "base - tau, the model that will be served: harmful answers lose likelihood up to a bound, and refusals are "
        "taught at the start of an answer and after its first tokens. The KL from base on normal answers is held by a "
        "budget instead of a fixed weight.",
        Marker("#0b7d5b", "◈", "diamond-wide"),
        settings={
            "harmful": ("bundled", "prefilled:bundled", "prefilled:harmful_requests"),
            "normal": (
                *("self", "self:sounds_harmful", "self:plain_requests"),
                *("prefilled:bundled", "prefilled:sounds_harmful", "prefilled:plain_requests"),
            ),
            "targets": ("mlp",),
            "layers": (0.43, 0.9),
            "rank": 32,
            "alpha": 32,
            "learning_rate": 1.5e-3,
            "warmup": 5,
            "weight_decay": 0.0,
            "given_tokens": (0, 0, 0, 0, 3, 8, 24),
            "opening_weight": 12.0,
            "kl_budget": 0.03,
            "forget_margin": 4.0,
        },
        preserve_at="negated",
        trained_factors="B",
        coefficient=0.8,
        prepare="directions:contrastive_directions",
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
    "npo": Method(
        "NPO",
        {"npo": 1.0, "retention": 5.0},
        False,
        "arXiv:2404.05868",
        "our correction",
        "-(2/b) log sigmoid(-b g(h)), with KL on normal answers (the paper's NPO + KL). Differs by the mean "
        "over tokens instead of the sum, so that b = 4 stands for 0.1, and by the weight of the KL. Settings "
        "are unmeasured.",
        Marker(VERMILLION, "▼", "triangle-down"),
        settings=UNMEASURED,
    ),
    "simnpo": Method(
        "SimNPO",
        {"simnpo": 1.0, "retention": 5.0},
        False,
        "arXiv:2410.07163",
        "our correction",
        "-(2/b) log sigmoid(b l(h)), with KL on normal answers. The paper's margin is 0, and its b is 2.5 to "
        "4.5: there the forget set was learnt by heart. Harmful answers have 3.3 nats per token under the "
        "default base, where such a b leaves no gradient; so b is 0.5. Settings are unmeasured.",
        Marker(VERMILLION, "▽", "triangle-down-open"),
        settings=UNMEASURED,
        beta=0.5,
    ),
    "safe_unlearning": Method(
        "Safe Unlearning",
        {"npo": 0.15, "refusal": 0.5, "rehearsal": 1.0},
        False,
        "arXiv:2407.02855",
        "reference code",
        "l(n) + 0.5 l(s) - 0.3 log sigmoid(-g(h)), with the mean over tokens and the weights of the reference "
        "code; 0.15 npo at b = 1 is its last term. Differs by LoRA. Settings are unmeasured.",
        Marker(GREEN, "★", "star"),
        settings=UNMEASURED,
        beta=1.0,
    ),
    "altpo": Method(
        "AltPO",
        {"alternative": 1.0, "retention": 5.0},
        False,
        "arXiv:2409.13474",
        "our correction",
        "-(2/b) log sigmoid(b (g(a) - g(h))), where a is one of 3 answers that the base wrote when asked for a "
        "safe and legal one. Differs by the mean over tokens instead of the sum, by that request, by a "
        "temperature of 0.7 instead of 1, at which the default base writes nonsense, and by KL instead of l(n). "
        "Settings are unmeasured.",
        Marker(PURPLE, "◀", "triangle-left"),
        settings=UNMEASURED,
    ),
    "idk_ap": Method(
        "IDK + AP",
        {"refusal": 1.0, "answer_preservation": 1.0},
        False,
        "arXiv:2410.08109",
        "our correction",
        "l(refusal) on harmful prompts, and -(1/b) log sigmoid(b (log p(n) - log p(refusal))) on normal ones. "
        "Differs by the mean over tokens instead of the sum, and by our safe answers instead of fixed ones "
        "that say I do not know. Settings are unmeasured.",
        Marker(GREEN, "☆", "star-open"),
        settings=UNMEASURED,
    ),
    "me": Method(
        "Maximum entropy (ME)",
        {"uniformity": 0.1, "rehearsal": 1.0},
        False,
        "arXiv:2410.08109",
        "reference code",
        "0.1 KL(uniform to p) on harmful answers + l(n), the reference code's ME + GD with its weights. Differs "
        "by LoRA, and by the mean over the tokens of each answer before that over answers. Settings are "
        "unmeasured.",
        Marker(ORANGE, "⊕", "circle-cross-open"),
        settings=UNMEASURED,
    ),
    "emso": Method(
        "EMSO",
        {"entropy": 1.0, "retention": 5.0},
        False,
        "arXiv:2408.04983",
        "our correction",
        "log V - entropy(p) on harmful answers. The paper updates only weights that a contrastive gradient "
        "selects, and has no term on normal answers; here all LoRA factors are trained, and KL on normal "
        "answers is added. Settings are unmeasured.",
        Marker(ORANGE, "⊗", "circle-x-open"),
        settings=UNMEASURED,
    ),
    "ihl": Method(
        "Inverted hinge (LoKU)",
        {"inverted_hinge": 1.0, "rehearsal": 1.0},
        False,
        "arXiv:2408.06621",
        "our correction",
        "1 + p(h_t) - max p(v) over other tokens v, + l(n). Differs by ordinary LoRA: the paper's "
        "initialisation by Fisher information changes the base, which every variant here must share. Settings "
        "are unmeasured.",
        Marker(SKY, "◥", "triangle-ne"),
        settings=UNMEASURED,
    ),
    "undial": Method(
        "UNDIAL",
        {"lowered_target": 1.0, "retention": 5.0},
        False,
        "arXiv:2402.10052",
        "our correction",
        "Distils softmax(z0 - b 1[h_t]) on harmful answers; the KL has the gradient of the paper's "
        "cross-entropy and is 0 at the target. KL on normal answers is added; b is 10, the paper has 3 to 30. "
        "Settings are unmeasured.",
        Marker(PURPLE, "◤", "triangle-nw"),
        settings=UNMEASURED,
        beta=10.0,
    ),
    "ceu": Method(
        "CE-U",
        {"impossible_target": 1.0, "retention": 5.0},
        False,
        "arXiv:2503.01224",
        "our correction",
        "Distils the model's own distribution without the token h_t. KL on normal answers is added. Settings "
        "are unmeasured.",
        Marker(PURPLE, "◣", "triangle-sw"),
        settings=UNMEASURED,
    ),
    "causal_whp": Method(
        "Causal WHP",
        {"other_prompt": 1.0, "retention": 5.0},
        False,
        "arXiv:2407.16997",
        "our correction",
        "Distils the base after an intervened prompt. The paper replaces names and averages 1 to 20 teachers; "
        "here the prompt is a normal one, drawn anew at each step, which has the gradient of the average. KL "
        "on normal answers is added. Settings are unmeasured.",
        Marker(GREEN, "⬠", "pentagon-open"),
        settings=UNMEASURED,
    ),
    "relearn": Method(
        "ReLearn",
        {"evasion": 1.0, "retention": 1.0, "rehearsal": 1.0},
        False,
        "arXiv:2502.11190",
        "our correction",
        "l(non-revealing answers) + KL(n) + l(n). In the paper a larger model rewrites questions and answers; "
        "here the base writes 2 answers to each prompt, asked for general words without detail. Settings are "
        "unmeasured.",
        Marker(GREEN, "⬡", "hexagon-open"),
        settings=UNMEASURED,
    ),
    "fpga": Method(
        "FPGA",
        {"sensitive_ascent": 1.0, "retention": 5.0},
        False,
        "ACL:2024.emnlp-main.566",
        "our correction",
        "Mean of w_t log p(h_t), read from the abstract only. The paper's weights come from its own rule; ours "
        "are by how much the prompt makes a token likelier under the base, compared with another prompt, and at "
        "least 0. KL on normal answers is added. The loss has no lower bound. Settings are unmeasured.",
        Marker(VERMILLION, "△", "triangle-up-open"),
        settings=UNMEASURED,
        unbounded=True,
    ),
    "unstar": Method(
        "UnStar",
        {"anti_sample": 1.0, "retention": 5.0},
        False,
        "arXiv:2410.17050",
        "our correction",
        "Fine-tunes on anti-samples: false answers with a misleading reason. Here the base writes 2 to each "
        "prompt, after a beginning such as: That does not work, because. The paper trains each question until "
        "the model fails it; here the number of steps is fixed, and KL on normal answers is added. Settings "
        "are unmeasured.",
        Marker(GREEN, "⧗", "hourglass"),
        settings=UNMEASURED,
    ),
    "rmu": Method(
        "RMU",
        {"misdirection": 1.0, "steadiness": 100.0},
        False,
        RMU_PAPER,
        "our correction",
        "(z(h) - c u)^2 + a (z(n) - z0(n))^2, squared norms, where z are hidden states after a third of the blocks "
        "and u is a random unit vector. The paper trains the MLP weights of three blocks up to there; here LoRA "
        "does. Both terms are divided by the mean squared norm of the base's states, so that c (3 mean norms) and a "
        "mean the same for every base. Only answer tokens count. Weights are unmeasured.",
        Marker("#6a3d9a", "⬢", "hexagon2"),
        settings={"targets": ("mlp",), "layers": (0.23, 1 / 3), "steps": 60},
    ),
    "circuit_breakers": Method(
        "Circuit breakers",
        {"rerouting": 1.0, "holding": 1.0},
        False,
        CIRCUIT_BREAKERS_PAPER,
        "our correction",
        "relu(cos(z(h), z0(h))) + norm(z(n) - z0(n)) / norm(z0(n)), after one and two thirds of the blocks. The "
        "paper shifts the weight from the first term to the second during training; here both are constant. The "
        "distance is relative, so that it means the same for every base. Only answer tokens count. Weights are "
        "unmeasured.",
        Marker("#6a3d9a", "✶", "hexagram"),
        settings={"targets": ("mlp",), "layers": (0.0, 2 / 3), "steps": 60},
    ),
    "circuit_breakers_refusal": Method(
        "Circuit breakers + refusal",
        {"rerouting": 1.0, "holding": 1.0, "refusing": 0.5},
        False,
        CIRCUIT_BREAKERS_PAPER,
        "ours",
        "circuit_breakers, and l(refusal) on harmful prompts, also after the first tokens of the harmful answer. "
        "Rerouting alone ends in noise; this gives the model a refusal to land on.",
        Marker("#6a3d9a", "✷", "star-square"),
        settings={"targets": ("mlp",), "layers": (0.0, 2 / 3), "steps": 60, "given_tokens": (0, 0, 3, 8, 24)},
    ),
    "repnoise": Method(
        "RepNoise",
        {"noising": 1.0, "slow_ascent": 0.001, "refusal": 1.0},
        False,
        "arXiv:2405.14577",
        "our correction",
        "MMD(z(h), noise) - b log l(h) + l(safe answer), with the paper's weights: 1, and 0.001 for b. The states are "
        "those after one and two thirds of the blocks; the paper takes all. The noise has the size of the base's "
        "states instead of 1 and is the same at every step, and ascent reads the last logits only. Settings are "
        "unmeasured.",
        Marker("#6a3d9a", "✹", "hexagram-open"),
        settings={"targets": ("mlp",), "layers": (0.0, 2 / 3), "steps": 60},
        unbounded=True,
    ),
    "reglu": Method(
        "ReGLU",
        {"inverted_hinge": 1.0, "rehearsal": 1.0},
        False,
        REGLU_PAPER,
        "our correction",
        "The inverted hinge and l(n), with A started at the leading eigenvectors of C_h - 0.5 C_n, the second moments "
        "of inputs on 256 harmful and 256 normal answers, and with a penalty of 0.5 on the part of B inside the "
        "subspace of outputs on normal answers. Differs: that subspace has an eighth of the outputs, where the paper "
        "has 128 of a 7B model's 4,096, and the base is left as it is. Settings are unmeasured.",
        Marker(GREEN, "⬗", "diamond-tall-open"),
        settings={"targets": ("all",), "steps": 60},
        prepare="directions:contrasted_inputs",
        gradient="retained",
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
        {"npo": 1.0, "retention": 5.0},
        False,
        SOUL_PAPER,
        "our correction",
        "NPO with the second-order optimiser Sophia: each entry moves by rate * clip(m / (scale h), -1, 1), with m the "
        "mean gradient and h the curvature. Differs: the curvature is the squared gradient of the step, without labels "
        "drawn from the model; normal answers are kept by KL, not by their likelihood. Settings are unmeasured.",
        Marker(SKY, "◉", "circle-open-dot"),
        settings=UNMEASURED,
        optimizer="sophia",
    ),
    "sam": Method(
        "Sharpness-aware (SAM)",
        {"npo": 1.0, "retention": 5.0},
        False,
        SAM_PAPER,
        "our correction",
        "NPO whose forget gradient is taken at theta + rho g / norm(g), where g is the forget gradient at theta, so "
        "that small changes of the weights undo less. Differs: rho is a length in the space of the LoRA "
        "factors. Settings are unmeasured.",
        Marker(BLUE, "▣", "square-dot"),
        settings=UNMEASURED,
        gradient="sam",
    ),
    "wagle": Method(
        "Weight attribution (WAGLE)",
        {"npo": 1.0, "retention": 5.0},
        False,
        WAGLE_PAPER,
        "our correction",
        "NPO that changes only the entries with the highest attribution score, "
        "the size of (theta - g_n / gamma) g_h. Differs: an entry is one of B, and theta is the base's weight along "
        "the matching row of A; gamma makes both parts count alike. Settings are unmeasured.",
        Marker(GREEN, "❖", "diamond-dot"),
        settings=UNMEASURED,
        gradient="attribution",
    ),
    "memflex": Method(
        "MemFlex",
        {"npo": 1.0, "retention": 5.0},
        False,
        MEMFLEX_PAPER,
        "our correction",
        "NPO that changes only LoRA modules whose gradient on harmful answers is large and has a "
        "cosine of at most 0.92 with that on normal answers. Differs: large means at least half of the "
        "median norm, not an absolute number; modules are chosen once, at the base. Settings are unmeasured.",
        Marker(ORANGE, "✺", "hexagram-dot"),
        settings=UNMEASURED,
        gradient="modules",
    ),
    "suv": Method(
        "SUV",
        {"preference": 2.0, "preservation": 5.0},
        False,
        SUV_PAPER,
        "our correction",
        "Preference for the safe answer. The forget gradient loses its component against the keep gradient, and a "
        "Fisher penalty w F B is added. Differs: the Fisher information is that of B at the base, divided "
        "by its mean; preference by the mean over tokens. Settings are unmeasured.",
        Marker(PURPLE, "◬", "triangle-up-dot"),
        settings=UNMEASURED,
        gradient="fisher",
    ),
    "ssu": Method(
        "SSU",
        {"distortion": 1.0, "disassociation": 0.5},
        True,
        SSU_PAPER,
        "our correction",
        "Learns the harmful answers and random other ones, changes only entries whose gradient is at least the mean "
        "plus one standard deviation of its matrix, and subtracts the vector: task vectors with a mask. "
        "Differs: the answers are forgotten at once, not in a row of unlearning requests; AdamW's momentum still moves "
        "an entry in steps that mask it. Settings are unmeasured.",
        Marker(VERMILLION, "◍", "octagon-dot"),
        settings=UNMEASURED,
        gradient="saliency",
    ),
    "pke": Method(
        "Precision knowledge editing (PKE)",
        {"preference": 2.0, "preservation": 5.0},
        False,
        PKE_PAPER,
        "our correction",
        "Finds the toxic layers, and changes only those so that the safe answer is preferred. Differs: a "
        "layer's score is the gradient norm of harmful answers over that of normal ones, and a quarter of the layers "
        "is changed; the loss is a preference with KL on normal answers. Settings are unmeasured.",
        Marker(SKY, "⌖", "cross-dot"),
        settings=UNMEASURED,
        gradient="layers",
    ),
    "gated": Method(
        "Gated vector (GRUN)",
        {},
        False,
        GRUN_PAPER,
        "our correction",
        "Not trained: the adapter of a given run, applied to a prompt as far as a gate is open. The gate is a ridge "
        "probe of the base's hidden state at the last prompt token (the paper trains a soft gate on ReFT "
        "modules). The gate is not part of the weights, so an export loses it.",
        Marker(BLUE, "⍟", "star-dot"),
        settings={"normal": ("bundled", "sounds_harmful", "plain_requests"), "normal_limit": None},
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
    "combined": Method(
        "Combined runs",
        {},
        False,
        TASK_VECTOR_PAPER,
        "ours",
        "Not trained: arithmetic on the vectors of other runs, made by `python -m sku combine`. The manifest names the "
        "operation, its paper's settings and the parents. The parents enter with the sign with which they are served, "
        "so the result is added.",
        Marker("#5b5b5b", "Σ", "octagon"),
    ),
    "neuron_pruning": Method(
        "Neuron pruning",
        {},
        False,
        "arXiv:2403.01267",
        "our correction",
        "Closed form, no training: removes the MLP neurons whose mean absolute activation in harmful answers is "
        "largest relative to that in normal answers (section 3, importance `abs`). Differs from the paper: as many "
        "neurons in every layer as the rank says instead of a share of the whole model, in one round, and no attention "
        "neurons.",
        Marker("#5b5b5b", "⌗", "hash-open"),
        settings={"steps": 1, "rank": 32},
        closed_form="neuron_pruning:prune_neurons",
    ),
    "model_surgery": Method(
        "Model Surgery",
        {},
        False,
        "arXiv:2407.08770",
        "our correction",
        "Closed form, no training, rank 1 in every layer: adds the direction of a linear probe for harmful answers to "
        "the 4.7 % of gate rows that are most opposed to it. Differs from the reference code: a probe for every layer, "
        "on what its gate reads, fitted in closed form; the direction has the mean norm of a gate row, and the "
        "coefficient sets the strength. Needs an MLP with a gate.",
        Marker("#5b5b5b", "⊡", "square-cross"),
        settings={"steps": 1, "rank": 1},
        closed_form="model_surgery:edit_gates",
    ),
    "knowledge_washing": Method(
        "Knowledge washing (LaW)",
        {},
        False,
        "arXiv:2405.16720",
        "our correction",
        "Closed form, no training: rewrites the last MLP matrices of the second quarter of the layers. The activations "
        "of harmful answers then lead to what the MLP puts out at the end of a text, and those of normal answers lead "
        "where they did. Differs from the reference code: one target for all keys, the mean output at ends of answers, "
        "instead of one that gradient descent finds; keys at every answer token; a decomposition to the rank.",
        Marker("#5b5b5b", "≋", "diamond-tall"),
        settings={"steps": 1, "rank": 32},
        closed_form="knowledge_washing:wash_knowledge",
    ),
}


FOREIGN = "adapter"
"""The method of an adapter that was not trained here: a PEFT folder, or a repository on the hub."""
FOREIGN_METHOD = Method(
    "Adapter",
    {},
    False,
    "none",
    "control",
    "Not trained here. The vector is added, unless the person who names it says that it is subtracted.",
    Marker("#009e73", "◎", "circle-dot"),
)


def method_of_adapter(name: str) -> Method:
    """The method that made an adapter: a method of the table, or `FOREIGN`.

    Raises:
        ValueError: if the name is unknown; the message lists the known names.
    """
    return FOREIGN_METHOD if name == FOREIGN else find_method(name)


USES_LIKE = ("random", "gated")
"""The methods that are made from another run (`TrainConfig.like`)."""


def find_method(name: str) -> Method:
    """The method called `name`.

    Raises:
        ValueError: if the name is unknown; the message lists the known names.
    """
    if name not in METHODS:
        raise ValueError(f"method {name!r} is not known; choose one of {', '.join(METHODS)}")
    return METHODS[name]
