"""The trainings of the study, and the coefficients at which each is measured. Data only; `study.py` runs them.

Two tiers. A *tuned* method is trained with two learning rates in two places, on the same data, for the same number of
steps, and one rule chooses one of the four on validation prompts (`selection.py`). Every other method is trained
*once*, at its recommended settings. Both are measured at their largest coefficient within the KL budget
(`kl_budget.py`), so that all methods are compared at about the same cost.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sku.core.config import PRESETS

FINE, TWO = (0.5, 0.8, 1.0), (0.8, 1.0)
CANDIDATE_COEFFICIENTS = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
_WITH_XSTEST = ("self", "self:sounds_harmful", "self:xstest")
_PLAIN = (*_WITH_XSTEST, "self:plain_requests")
COMMON_SETTINGS: dict[str, Any] = {
    "steps": 60,
    "harmful": (
        "bundled", "labelled", "prefilled:bundled", "prefilled:harmful_requests", "prefilled:advbench",
        "prefilled:do_not_answer",
    ),
    "normal": (*_PLAIN, "prefilled:bundled", "prefilled:sounds_harmful", "prefilled:plain_requests"),
}  # fmt: skip
"""Sources that are files, such as advbench, are looked for in the study's data folder and left out if missing."""
_FIRST_STUDY: dict[str, Any] = {
    "harmful_limit": 150,
    "harmful": ("bundled", "advbench", "labelled", "self:bundled", "self:advbench", "self:do_not_answer"),
    "normal": ("self", "self:sounds_harmful"),
}
"""The data of the adapters that were shipped with the first study."""
_OPEN = _FIRST_STUDY | {
    "steps": 120,
    "normal": _WITH_XSTEST,
    "weights": {"contrast": 3.0, "preservation": 15.0},
    "contrast_slope": 4.0,
    "normal_limit": 133,  # so that plain questions and harmless ones that sound harmful are equally many
    "opening_weight": 8.0,
}
_KEEP = {"preservation": 5.0}
_ASCENT = _FIRST_STUDY | {"learning_rate": 3e-4}
KL_BUDGET = 0.04
"""Nats per token: the KL from base that a shipped variant, and the chosen setting of a tuned method, may have on
validation prompts."""


@dataclass(frozen=True)
class GridEntry:
    """One training of the study."""

    method: str
    settings: dict[str, Any] = field(default_factory=dict)
    coefficients: tuple[float, ...] = (1.0,)
    """Those at which it is measured, or from which the KL budget chooses one."""
    budgeted: bool = False
    """Whether it is measured at only one of its coefficients: the largest within the KL budget (`kl_budget.py`)."""
    tuned: str | None = None
    """The tuned method of which this is one setting; None if the training is no part of a search."""


_DIRECTIONS: dict[str, Any] = {"steps": 220}
_WITHOUT_PREFILLED: dict[str, Any] = {"steps": 180, "normal": _PLAIN}
_MILD: dict[str, Any] = {
    "weights": {"forgetting": 2.0, "refusing": 2.0, "safe_answers": 1.0},
    "forget_margin": 2.5,
    "opening_weight": 8.0,
    "kl_budget": 0.04,
}
"""The settings that `sku_directions` had first."""
_LONG = {"normal": _PLAIN, "steps": 300, "weights": _MILD["weights"] | {"forgetting": 2.5}, "forget_margin": 3.0}
_SHORT = _MILD | {"normal": _PLAIN, "steps": 140}
_SHORT_MARGIN = _SHORT | {
    "weights": _MILD["weights"] | {"forgetting": 2.5},
    "forget_margin": 3.0,
    "opening_weight": 12.0,
    "normal_limit": 160,
}
_SHORT_FAR = {"normal": _PLAIN, "steps": 160, "opening_weight": 8.0, "kl_budget": 0.04}
_GATE_NORMAL = ("bundled", "sounds_harmful", "plain_requests", "xstest")
_LEVER: dict[str, Any] = {"steps": 60}
"""Against one lever more, on 60 steps: compare with `tuned-directions-fast-mlp`, which is the same without a lever."""
_QUICK = PRESETS["quick"].recipe | {"max_tokens": PRESETS["quick"].settings["max_tokens"]}
_UPPER_MLP = {"targets": ("mlp",), "layers": (0.43, 0.9)}
_ATTENTION = {"targets": ("q_proj", "v_proj"), "layers": (0.0, 1.0)}
_RATES = {"slow": 5e-4, "fast": 1.5e-3}


def _tuned(
    name: str,
    method: str,
    settings: dict[str, Any] | None = None,
    rates: dict[str, float] = _RATES,
    places: dict[str, dict[str, Any]] | None = None,
) -> dict[str, GridEntry]:
    """The four settings of a tuned method: two learning rates in two places."""
    places = places or {"attention": _ATTENTION, "mlp": _UPPER_MLP}
    return {
        f"{name}-{pace}-{place}": GridEntry(
            method,
            {"steps": 60, "learning_rate": rate} | (settings or {}) | where,
            CANDIDATE_COEFFICIENTS,
            budgeted=True,
            tuned=name,
        )
        for pace, rate in rates.items()
        for place, where in places.items()
    }


_ASCENT_RATES = {"slow": 1e-4, "fast": 3e-4}
_HIDDEN_PLACES = {
    "early": {"targets": ("mlp",), "layers": (0.1, 1 / 3)},
    "mlp": {"targets": ("mlp",), "layers": (0.23, 1 / 3)},
}
"""Where RMU may train: its loss reads the states after a third of the blocks."""
TUNED: dict[str, GridEntry] = {
    **_tuned("tuned-directions", "sku_directions", places={
        "middle": {"targets": ("mlp",), "layers": (0.25, 0.7)}, "mlp": _UPPER_MLP,
    }),
    **_tuned("tuned-ga", "ga", rates=_ASCENT_RATES),
    **_tuned("tuned-tv", "tv"),
    **_tuned("tuned-npo", "npo", {"kl_budget": KL_BUDGET}),
    **_tuned("tuned-simnpo", "simnpo", {"kl_budget": KL_BUDGET}),
    **_tuned("tuned-safe-unlearning", "safe_unlearning"),
    **_tuned("tuned-rmu", "rmu", places=_HIDDEN_PLACES),
    **_tuned("tuned-circuit-breakers", "circuit_breakers", places={
        "attention": _ATTENTION, "mlp": {"targets": ("mlp",), "layers": (0.0, 2 / 3)},
    }),
    **_tuned("tuned-reglu", "reglu", places={
        "all": {"targets": ("all",), "layers": (0.0, 1.0)}, "mlp": _UPPER_MLP,
    }),
    **_tuned("tuned-sku", "sku", {"weights": _KEEP}),
}  # fmt: skip
"""Ten methods, tuned alike: two learning rates in two places, on the same data, for the same number of steps."""
_ONCE_METHODS = (
    "sku_contrast", "dpo", "ft", "altpo", "idk_ap", "me", "emso", "ihl", "undial", "ceu", "causal_whp",
    "relearn", "fpga", "unstar", "repnoise",
    "circuit_breakers_refusal", "soul", "sam", "wagle", "memflex", "suv", "ssu", "pke", "neuron_pruning",
    "model_surgery", "knowledge_washing",
)  # fmt: skip
ONCE: dict[str, GridEntry] = {
    name: GridEntry(name, {}, CANDIDATE_COEFFICIENTS, budgeted=True) for name in _ONCE_METHODS
}
"""The other methods, each trained once at its recommended settings."""

GRID: dict[str, GridEntry] = {
    "directions": GridEntry("sku_directions", _DIRECTIONS, FINE),
    "directions-plain": GridEntry("sku_directions", _WITHOUT_PREFILLED, (0.5, 0.8, 1.0, 1.2)),
    "directions-long": GridEntry("sku_directions", _LONG, (0.8, 1.0, 1.2)),
    "directions-short": GridEntry("sku_directions", _SHORT, (1.0, 1.4)),
    "directions-short-margin": GridEntry("sku_directions", _SHORT_MARGIN, (1.0, 1.4)),
    "directions-short-far": GridEntry("sku_directions", _SHORT_FAR, (0.8, 0.9, 1.0)),
    "directions-quick": GridEntry("sku_directions", _QUICK, TWO),
    "contrast-open": GridEntry("sku_contrast", _OPEN, (2.5,)),
    "keep": GridEntry("sku", _FIRST_STUDY | {"weights": _KEEP}, (1.0, 2.0)),
    "ga": GridEntry("ga", _ASCENT, (0.5, 1.0)),
    "tv": GridEntry("tv", _FIRST_STUDY, (0.5, 1.0)),
    "ga_mismatch": GridEntry("ga_mismatch", _ASCENT),
    "directions-seed1": GridEntry("sku_directions", _DIRECTIONS | {"seed": 1}, TWO),
    "directions-seed2": GridEntry("sku_directions", _DIRECTIONS | {"seed": 2}, TWO),
    "random-like-directions": GridEntry("random", {"like": "directions"}, TWO),
    "sku_gated": GridEntry("gated", {"like": "directions", "normal": _GATE_NORMAL}, TWO),
    "directions-rounded": GridEntry("sku_directions", _LEVER | {"round_every": 2}, TWO),
    "directions-sam": GridEntry("sku_directions", _LEVER | {"gradient": "sam@0.01"}, TWO),
    **TUNED,
    **ONCE,
}
"""All trainings of the study, the most important first."""

TRIED_FORMS = (
    "directions-plain",
    "directions-long",
    "directions-short",
    "directions-short-margin",
    "directions-short-far",
)
"""Other settings of `directions`. They are measured on validation prompts only, unless the rule selects one."""
SKU_FORMS = ("directions", *TRIED_FORMS, "contrast-open", "keep")
"""The forms of SKU. The selection rule chooses one of them to be shipped as `sku`."""
