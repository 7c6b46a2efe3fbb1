"""The operations of `combine` and its settings. Runs are combined as task vectors; see `training/combining/`.

This module does not import torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sku.core.methods import TASK_VECTOR_PAPER

MAX_LAYER_COEFFICIENT = 2.0
"""The largest coefficient that the search gives to the layers of one operand."""


@dataclass(frozen=True)
class Operation:
    """Everything about one operation on task vectors v1, v2, ... (one weight matrix at a time)."""

    label: str
    meaning: str
    """One line: the result, written with the vectors v1, v2, ..."""
    paper: str
    fewest: int = 1
    """The smallest number of operands."""
    linear: bool = True
    """Whether the result is a sum of operands times numbers. It is then exact at the sum of the operands' ranks;
    otherwise a singular value decomposition approximates it."""
    same_modules: bool = False
    """Whether all operands must change the same weight matrices. Elsewhere a missing matrix counts as zero."""
    settings: tuple[str, ...] = ()
    """The fields of `CombineConfig` that only this operation reads."""


OPERATIONS: dict[str, Operation] = {
    "sum": Operation(
        "Sum",
        "v1 + v2 + ...; also merges one adapter per category into one",
        TASK_VECTOR_PAPER,
    ),
    "difference": Operation("Difference", "v1 - v2 - ...", TASK_VECTOR_PAPER, fewest=2),
    "project": Operation(
        "Projection away",
        "v1 minus its projection on the span of v2, v3, ...: it keeps what the others do not share",
        "arXiv:2408.04441",
        fewest=2,
        same_modules=True,
    ),
    "ties": Operation(
        "TIES",
        "keeps the largest entries of each vector (--density), elects a sign for each entry, and averages the entries "
        "that have it",
        "arXiv:2306.01708",
        linear=False,
        settings=("density",),
    ),
    "dare": Operation(
        "DARE",
        "drops random entries of each vector (--drop), rescales the rest by 1 / (1 - drop), and sums",
        "arXiv:2311.03099",
        linear=False,
        settings=("drop", "seed"),
    ),
    "consensus": Operation(
        "Sign consensus (NegMerge)",
        "the mean of the entries whose sign is the same in all vectors, such as those of several seeds; 0 elsewhere",
        "arXiv:2410.05583",
        fewest=2,
        linear=False,
        same_modules=True,
    ),
    "search": Operation(
        "Coefficients by layer",
        "gives every layer of every vector a coefficient, by a greedy search for the largest fall in the likelihood of "
        "harmful answers per rise in KL, up to --kl-budget",
        TASK_VECTOR_PAPER,
        settings=("kl_budget", "step", "trials", "pairs", "side", "harmful", "normal", "max_tokens"),
    ),
}


@dataclass(frozen=True)
class CombineConfig:
    """What `combine` does."""

    operation: str
    """A name in `OPERATIONS`."""
    variants: tuple[str, ...]
    """The operands, as a person writes variants. Each stands for the change that serving it makes to the base."""
    rank: int | None = None
    """The LoRA rank of the result; None: the sum of the operands' ranks, at most the rank of the largest matrix."""
    density: float = 0.2
    """TIES: the share of entries that each vector keeps in every matrix."""
    drop: float = 0.9
    """DARE: the probability with which an entry is dropped."""
    seed: int = 0
    """DARE: the seed of the random draw."""
    kl_budget: float = 0.05
    """Search: the largest KL from base on normal answers, in nats per token."""
    step: float = 0.5
    """Search: a trial raises one coefficient by this much."""
    trials: int = 150
    """Search: the largest number of trials."""
    pairs: int = 12
    """Search: the number of harmful pairs, and of normal pairs, that every trial scores."""
    side: Literal["train", "validation"] = "validation"
    """Search: the side of the data split. Test prompts are never searched on."""
    harmful: tuple[str, ...] = ("bundled",)
    """Search: data sources of harmful pairs."""
    normal: tuple[str, ...] = ("self",)
    """Search: data sources of normal pairs. `self` means the base's own answers to the bundled normal prompts."""
    max_tokens: int = 96
    """Search: the most tokens of prompt and answer together."""

    def __post_init__(self) -> None:
        known = find_operation(self.operation)
        if len(self.variants) < known.fewest:
            raise ValueError(
                f"operation {self.operation} needs at least {known.fewest} variants, but {len(self.variants)} came; "
                "name one with each -v"
            )
        _require(self.rank is None or 1 <= self.rank <= 1024, "rank", self.rank, "from 1 to 1024")
        _require(0 < self.density <= 1, "density", self.density, "above 0 and at most 1")
        _require(0 <= self.drop < 1, "drop", self.drop, "from 0 and below 1")
        _require(0 <= self.seed < 2**31, "seed", self.seed, "from 0 to 2147483647")
        _require(0 < self.kl_budget <= 10, "kl_budget", self.kl_budget, "above 0 and at most 10 nats per token")
        _require(
            0 < self.step <= MAX_LAYER_COEFFICIENT, "step", self.step, f"above 0, at most {MAX_LAYER_COEFFICIENT:g}"
        )
        _require(1 <= self.trials <= 100_000, "trials", self.trials, "from 1 to 100000")
        _require(1 <= self.pairs <= 1000, "pairs", self.pairs, "from 1 to 1000")
        _require(self.side in ("train", "validation"), "side", self.side, "train or validation, never test")
        _require(16 <= self.max_tokens <= 8192, "max_tokens", self.max_tokens, "from 16 to 8192")

    @property
    def used_settings(self) -> dict[str, object]:
        """The settings that the operation reads, by name."""
        return {name: getattr(self, name) for name in OPERATIONS[self.operation].settings}


def _require(valid: bool, name: str, value: object, wanted: str) -> None:
    if not valid:
        raise ValueError(f"{name} is {value!r}; it must be {wanted}")


def find_operation(name: str) -> Operation:
    """The operation called `name`.

    Raises:
        ValueError: if the name is unknown; the message lists the known names.
    """
    if name not in OPERATIONS:
        raise ValueError(f"operation {name!r} is not known; choose one of {', '.join(OPERATIONS)}")
    return OPERATIONS[name]
