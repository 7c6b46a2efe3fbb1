"""The trainings of the study, and the coefficients at which each is measured. Data only; `study.py` runs them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

FINE, CURVE, TWO = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0), (0.5, 1.0, 2.0, 3.0), (1.0, 2.0)
COEFFICIENTS_OF_OTHER_SEEDS = (1.0, 2.0, 2.5)
"""The coefficients at which the other seeds of the shipped form are measured."""
_KEEP = {"preservation": 5.0}
COMMON_SETTINGS: dict[str, Any] = {
    "steps": 60,
    "harmful_limit": 150,
    "harmful": ("bundled", "advbench", "labelled", "self:bundled", "self:advbench", "self:do_not_answer"),
    "normal": ("self", "self:sounds_harmful"),
}
"""Sources that are files, such as advbench, are looked for in the study's data folder and left out if missing."""
_WITH_XSTEST = ("self", "self:sounds_harmful", "self:xstest")
_OPEN = {
    "steps": 120,
    "normal": _WITH_XSTEST,
    "weights": {"contrast": 3.0, "preservation": 15.0},
    "contrast_slope": 4.0,
    "normal_limit": 133,  # so that plain questions and harmless ones that sound harmful are equally many
    "opening_weight": 8.0,
}
_ASCENT = {"learning_rate": 3e-4}


@dataclass(frozen=True)
class GridEntry:
    """One training of the study."""

    method: str
    settings: dict[str, Any] = field(default_factory=dict)
    coefficients: tuple[float, ...] = (1.0,)
    snapshots: tuple[int, ...] = ()
    """Steps after which the training is measured as well, at coefficient 1."""


_DIRECTIONS = {
    "steps": 140,
    "harmful_limit": None,
    "harmful": (
        "bundled", "labelled", "prefilled:bundled", "prefilled:harmful_requests", "prefilled:advbench",
        "prefilled:do_not_answer",
    ),
    "normal": (*_WITH_XSTEST, "self:plain_requests"),
}  # fmt: skip

GRID: dict[str, GridEntry] = {
    "directions": GridEntry("sku_directions", _DIRECTIONS, (0.5, 1.0, 1.2, 1.4, 1.7, 2.0)),
    "contrast": GridEntry("sku_contrast", {}, CURVE),
    "contrast-open": GridEntry("sku_contrast", _OPEN, FINE),
    "dpo": GridEntry("dpo", _OPEN | {"weights": {"preference": 3.0, "preservation": 15.0}}, CURVE),
    "keep": GridEntry("sku", {"weights": _KEEP}, CURVE),
    "ga": GridEntry("ga", _ASCENT, CURVE, (10, 20, 30, 40)),
    "push": GridEntry("sku", {"preservation": "push"}, CURVE),
    "keep-light": GridEntry("sku", {}, CURVE),
    "tv": GridEntry("tv", {}, CURVE),
    "ga_mismatch": GridEntry("ga_mismatch", _ASCENT, CURVE),
    "ft": GridEntry("ft", _ASCENT),
    "no-preservation": GridEntry("sku_no_preservation", {}, TWO),
    "no-distortion": GridEntry("sku_no_distortion", {"weights": _KEEP}, TWO),
    "no-disassociation": GridEntry("sku_no_disassociation", {"weights": _KEEP}, TWO),
    "contrast-no-preservation": GridEntry("contrast_no_preservation", {}, TWO),
    "contrast-open-seed1": GridEntry("sku_contrast", _OPEN | {"seed": 1}, COEFFICIENTS_OF_OTHER_SEEDS),
    "contrast-open-seed2": GridEntry("sku_contrast", _OPEN | {"seed": 2}, COEFFICIENTS_OF_OTHER_SEEDS),
    "keep-seed1": GridEntry("sku", {"weights": _KEEP, "seed": 1}, TWO),
    "keep-seed2": GridEntry("sku", {"weights": _KEEP, "seed": 2}, TWO),
    "ga-seed1": GridEntry("ga", _ASCENT | {"seed": 1}),
    "ga-seed2": GridEntry("ga", _ASCENT | {"seed": 2}),
    "random-like-keep": GridEntry("random", {"like": "keep"}, (2.0,)),
    "random-like-contrast": GridEntry("random", {"like": "contrast"}, (2.0,)),
}
"""All trainings of the study, the most important first. Gradient ascent and similar methods have a lower learning rate,
because at 1e-3 ascent produces noise within ten steps."""

SKU_FORMS = ("directions", "contrast", "contrast-open", "keep", "push")
"""The forms of SKU. The selection rule chooses one of them to be shipped as `sku`."""
