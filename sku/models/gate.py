"""A gate: a linear probe of the base's state at the last prompt token, which opens an adapter for that prompt.

A row of a gated adapter runs with its coefficient times the gate's value, from 0 (the base) to 1. The gate is a file
beside the adapter, not part of the weights, so merging or exporting the adapter loses it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from sku.core.records import digest
from sku.core.runs import GATE

SOFT_STEPS = 20
"""A soft gate has this many steps between 0 and 1, so that rounding errors do not change it and few rows differ."""


@dataclass(frozen=True, eq=False)
class Gate:
    """A probe and how its score becomes a value from 0 to 1."""

    weight: Tensor
    """`[H]`, fp32."""
    bias: float
    block: int
    """The probe reads the state after this many decoder blocks."""
    threshold: float
    """The score at which a hard gate opens; a soft one is half open there."""
    slope: float
    """The steepness of a soft gate."""
    hard: bool
    """True: 0 or 1. False: the logistic function of slope times (score - threshold)."""

    @property
    def key(self) -> str:
        """A text that differs between different gates."""
        settings = (self.bias, self.block, self.threshold, self.slope, self.hard)
        return digest(*map(repr, (*settings, *self.weight.tolist())))

    def score(self, state: Tensor) -> float:
        """The probe's score of a state `[H]`: the higher, the more harmful the prompt looks."""
        return float(self.weight.double() @ state.double().cpu()) + self.bias

    def value(self, state: Tensor) -> float:
        """How far the gate is open for a prompt with this state, from 0 to 1."""
        above = self.score(state) - self.threshold
        if self.hard:
            return float(above >= 0)
        exponent = max(-500.0, min(500.0, -self.slope * above))
        return round(SOFT_STEPS / (1 + math.exp(exponent))) / SOFT_STEPS


class RidgeFit(NamedTuple):
    """A linear probe, and what probes fitted without a prompt say of that prompt."""

    weight: Tensor
    """`[H]`"""
    offset: float
    left_out: Tensor
    """`[P]`, the leave-one-out predictions."""


def save_gate(folder: Path, gate: Gate) -> None:
    """Write the gate into a run folder."""
    about = {"bias": gate.bias, "block": gate.block, "threshold": gate.threshold, "slope": gate.slope}
    metadata = {"gate": json.dumps(about | {"hard": gate.hard})}
    save_file({"weight": gate.weight.contiguous()}, folder / GATE, metadata=metadata)


def load_gate(folder: Path) -> Gate | None:
    """The gate in a run folder; None if the run has none.

    Raises:
        ValueError: if the file cannot be read.
    """
    path = folder / GATE
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            return Gate(weight=file.get_tensor("weight"), **json.loads(file.metadata()["gate"]))
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a gate ({error}); make the gated run again") from error


@torch.no_grad()
def fit_gate(harmful: Tensor, harmless: Tensor, block: int, false_alarms: float, hard: bool) -> Gate:
    """Fit a ridge probe that tells harmful from harmless prompts.

    The penalty, the threshold and the slope are chosen by scores that a prompt gets from a probe fitted on all others
    (leave one out), which ridge regression has in closed form.

    Args:
        harmful: `[P, H]`, states of harmful prompts.
        harmless: `[Q, H]`, states of harmless prompts.
        block: where the states were read.
        false_alarms: the share of harmless prompts that may open the gate, at least 0 and below 1.
        hard: whether the gate is 0 or 1.

    Raises:
        ValueError: if there are fewer than two prompts of a kind.
    """
    if min(len(harmful), len(harmless)) < 2:
        raise ValueError(
            f"a gate needs at least 2 harmful and 2 harmless prompts, but there are {len(harmful)} and "
            f"{len(harmless)}; choose other sources with --harmful and --normal"
        )
    states = torch.cat([harmful, harmless]).double()
    labels = torch.cat([torch.ones(len(harmful)), -torch.ones(len(harmless))]).double()
    mean, spread = states.mean(0), states.std(0).clamp_min(1e-6)
    fit = _ridge((states - mean) / spread, labels)
    weight = (fit.weight / spread).float()
    bad, good = fit.left_out[: len(harmful)], fit.left_out[len(harmful) :]
    return Gate(
        weight=weight,
        bias=fit.offset - float(weight.double() @ mean),
        block=block,
        threshold=_threshold(good.tolist(), false_alarms),
        slope=8.0 / max(float(bad.mean() - good.mean()), 1e-6),
        hard=hard,
    )


def _threshold(harmless: Sequence[float], false_alarms: float) -> float:
    """The lowest score that at most the given share of harmless prompts reaches."""
    ordered = sorted(harmless, reverse=True)
    allowed = int(false_alarms * len(ordered))
    return math.nextafter(ordered[allowed], math.inf)


def _ridge(states: Tensor, labels: Tensor) -> RidgeFit:
    """The fit with the smallest leave-one-out error, among five penalties relative to the largest eigenvalue."""
    largest = float(torch.linalg.matrix_norm(states, 2)) ** 2
    fits = [ridge_fit(states, labels, relative * largest) for relative in (1e-4, 1e-3, 1e-2, 1e-1, 1.0)]
    return min(fits, key=lambda fit: float((labels - fit.left_out).square().mean()))


def ridge_fit(states: Tensor, labels: Tensor, penalty: float) -> RidgeFit:
    """Ridge regression with an offset that is not penalised.

    Args:
        states: `[P, H]`, with mean 0 over P.
        labels: `[P]`.
        penalty: on the squared length of the weight.
    """
    offset = float(labels.mean())
    left, singular, right = torch.linalg.svd(states, full_matrices=False)
    shrunk = singular.square() / (singular.square() + penalty)
    projected = left.T @ (labels - offset)
    fitted = offset + left @ (shrunk * projected)
    leverage = left.square() @ shrunk + 1 / len(labels)  # 1 / P is the offset's
    weight = right.T @ (singular / (singular.square() + penalty) * projected)
    return RidgeFit(weight, offset, labels - (labels - fitted) / (1 - leverage).clamp_min(1e-6))
