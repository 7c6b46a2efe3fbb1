"""Losses on hidden states between decoder blocks: move those of harmful answers, keep those of normal ones.

z are states of the model in training and z0 those of the base, at the tokens that predict an answer token. All losses
are relative to the size of z0, so that a weight means the same for every base. `Term.hidden_at` names the blocks.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from sku.core.config import TrainConfig
from sku.training.losses.inputs import TermInputs

TARGET_NORM = 3.0
"""The norm of the states that `misdirect` aims at, in mean norms of the base's states (c in RMU)."""


def misdirect(inputs: TermInputs, config: TrainConfig) -> Tensor:
    """Mean of |z - c u|^2 / mean |z0|^2 on harmful answers (RMU, arXiv:2403.03218, forget loss).

    c is `TARGET_NORM` times the mean norm of z0, and u is a random unit vector that only the seed decides. As in the
    paper its entries are drawn uniformly from 0 to 1.

    Returns:
        Scalar, at least 0; about 1 + `TARGET_NORM`^2 for the base.
    """
    states, base = _at_levels(inputs)
    size = base.norm(dim=-1).mean(dim=-1)[:, None, None]  # (L, 1, 1)
    target = TARGET_NORM * size * random_direction(states.shape[-1], config.seed).to(states)
    return _relative_square(states - target, base)


def keep_squared(inputs: TermInputs, config: TrainConfig) -> Tensor:
    """Mean of |z - z0|^2 / mean |z0|^2 on normal answers (RMU, retain loss).

    Returns:
        Scalar, at least 0; 0 for the base.
    """
    states, base = _at_levels(inputs)
    return _relative_square(states - base, base)


def reroute(inputs: TermInputs, config: TrainConfig) -> Tensor:
    """Mean of relu(cos(z, z0)) on harmful answers (circuit breakers, arXiv:2406.04313, rerouting loss).

    Returns:
        Scalar from 0 to 1: 1 for the base, 0 where z is orthogonal to z0.
    """
    states, base = _at_levels(inputs)
    return cosine_similarity(states, base, dim=-1).relu().mean()


def keep(inputs: TermInputs, config: TrainConfig) -> Tensor:
    """Mean of |z - z0| / |z0| on normal and safe answers (circuit breakers, retain loss, here relative).

    Returns:
        Scalar, at least 0; 0 for the base.
    """
    states, base = _at_levels(inputs)
    relative: Tensor = (states - base).norm(dim=-1) / base.norm(dim=-1)
    return relative.mean()


def turn_to_noise(inputs: TermInputs, config: TrainConfig) -> Tensor:
    """The squared MMD between states of harmful answers and Gaussian noise (RepNoise, arXiv:2405.14577, noise loss).

    The noise has the root mean square of z0, level by level, and is the same at every step. The kernel is a mean of
    Gaussians whose widths are the mean squared distance times 1/4 to 4.

    Returns:
        Scalar, at least 0; about 0 where the states are distributed as the noise is.
    """
    states, base = _at_levels(inputs)
    size = base.square().mean(dim=(1, 2), keepdim=True).sqrt()  # (L, 1, 1)
    generator = torch.Generator().manual_seed(config.seed)
    noise = torch.randn(states.shape, generator=generator).to(states) * size
    return torch.stack([squared_mmd(z, n) for z, n in zip(states, noise, strict=True)]).mean()


def squared_mmd(left: Tensor, right: Tensor) -> Tensor:
    """The squared maximum mean discrepancy of `[N, H]` and `[M, H]`, with the biased estimate: a scalar, at least 0."""
    both = torch.cat([left, right])
    distance = torch.cdist(both, both).square()
    width = distance.detach().sum() / (len(both) * (len(both) - 1))
    kernel = torch.stack([(-distance / (width * 2.0**power)).exp() for power in range(-2, 3)]).mean(dim=0)
    weights = torch.cat([torch.full((len(left),), 1 / len(left)), torch.full((len(right),), -1 / len(right))])
    mmd: Tensor = weights.to(kernel) @ kernel @ weights.to(kernel)
    return mmd


def random_direction(size: int, seed: int) -> Tensor:
    """A unit vector `[size]` with entries of one sign; the same for the same size and seed on every machine."""
    vector = torch.rand(size, generator=torch.Generator().manual_seed(seed))
    unit: Tensor = vector / vector.norm()
    return unit


def _relative_square(difference: Tensor, base: Tensor) -> Tensor:
    """Mean squared norm of differences `[L, N, H]`, relative to that of the base's states at the same level."""
    return (difference.square().sum(-1).mean(-1) / base.square().sum(-1).mean(-1)).mean()


def _at_levels(inputs: TermInputs) -> tuple[Tensor, Tensor]:
    """Hidden states `[L, N, H]` of the model in training and of the base, in fp32.

    Raises:
        ValueError: if the term has no `hidden_at`, or nothing is scored.
    """
    if not inputs.at_levels:
        raise ValueError("this loss compares hidden states; name their levels in hidden_at of its Term")
    if not len(inputs.targets):
        raise ValueError("no token is scored; every sequence needs an answer")
    return torch.stack(inputs.at_levels).float(), torch.stack(inputs.base_at_levels).float()
