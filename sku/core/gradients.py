"""The table of gradient rules: how the gradients of forgetting terms and of keeping terms become one step.

A setting names a rule as `NAME` or `NAME@NUMBER`, such as `sam@0.01`. To add a rule, write a function of the type
`MakeRule` in `training/gradients/NAME.py` and add a record here. This module does not import torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Gradient:
    """Everything about one gradient rule."""

    rule: str | None
    """The function that makes the rule, as `module:name` in `sku.training.gradients`. It has the type `MakeRule`
    (`training/gradients/rule.py`). None: one gradient of the whole sum, in one backward pass."""
    meaning: str
    """One line for a reader: what the rule does with the two gradients."""
    number: str = ""
    """What the number of the setting means. Empty: the rule takes no number."""
    default: float = 0.0
    low: float = 0.0
    high: float = 0.0
    """The range of the number."""
    needs_keeping: bool = False
    """Whether the rule does nothing without a term that keeps normal behaviour."""


class ChosenGradient(NamedTuple):
    """A rule and its number."""

    name: str
    number: float


SUM = "sum"
"""The rule of plain training."""
GRADIENTS: dict[str, Gradient] = {
    SUM: Gradient(None, "one gradient of the weighted sum of all terms"),
    "sam": Gradient(
        "sam:sharpness_aware",
        "takes the forget gradient at weights moved a short way up that gradient",
        "length of the move, over all trained factors",
        0.01,
        0.0,
        10.0,
    ),
    "projection": Gradient(
        "projection:projected",
        "removes from the forget gradient its part against the keep gradient",
        "share of that part that is removed",
        1.0,
        0.0,
        1.0,
        needs_keeping=True,
    ),
    "fisher": Gradient(
        "fisher:projected_with_fisher",
        "projects the forget gradient, and holds back weights that matter for normal answers",
        "weight of the Fisher penalty",
        0.1,
        0.0,
        1000.0,
        needs_keeping=True,
    ),
    "saliency": Gradient(
        "saliency:salient_entries",
        "changes only entries with a large forget gradient",
        "standard deviations above the mean of the entries' absolute values",
        1.0,
        -1000.0,
        1000.0,
    ),
    "attribution": Gradient(
        "attribution:attributed_entries",
        "changes only the entries of B with the highest attribution score",
        "share of entries that is changed",
        0.8,
        0.0,
        1.0,
    ),
    "modules": Gradient(
        "regions:unlike_modules",
        "changes only modules whose gradients on harmful and on normal answers point apart",
        "largest cosine between the two gradients",
        0.92,
        -1.0,
        1.0,
    ),
    "retained": Gradient(
        "retained:outside_retained_outputs",
        "holds back the part of B that writes where normal answers write",
        "weight of the penalty",
        0.5,
        0.0,
        1000.0,
    ),
    "layers": Gradient(
        "regions:toxic_layers",
        "changes only the layers on which harmful answers depend most, compared with normal answers",
        "share of layers that is changed",
        0.25,
        0.0,
        1.0,
    ),
}


def parse_gradient(text: str) -> ChosenGradient:
    """The rule and the number that `NAME` or `NAME@NUMBER` names.

    Raises:
        ValueError: if the name is unknown, or the number is missing its meaning or outside its range.
    """
    name, at, written = text.partition("@")
    if name not in GRADIENTS:
        raise ValueError(f"gradient {text!r} is not known; choose one of {', '.join(GRADIENTS)}")
    rule = GRADIENTS[name]
    if not at:
        return ChosenGradient(name, rule.default)
    if not rule.number:
        raise ValueError(f"gradient {text!r} has a number, but {name} takes none; write {name}")
    try:
        number = float(written)
    except ValueError:
        number = float("nan")
    if not rule.low <= number <= rule.high:
        raise ValueError(
            f"gradient {text!r}: the {rule.number} must be a number from {rule.low:g} to {rule.high:g}, "
            f"such as {name}@{rule.default:g}"
        )
    return ChosenGradient(name, number)
