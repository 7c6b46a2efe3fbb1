"""Read the operands of `combine`: variants of finished runs, as weight changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sku.core import runs
from sku.core.runs import Run
from sku.core.variants import Variant, resolve_variant
from sku.training.adapter_files import read_changes
from sku.training.adapter_sum import signed_runs
from sku.training.low_rank import LowRank, stack


@dataclass(frozen=True)
class Operand:
    """A variant, and the change that serving it makes to the weights of the base."""

    variant: Variant
    parts: tuple[tuple[Run, float], ...]
    """Its runs with their signed coefficients."""
    changes: dict[str, LowRank]
    """The change of every module, by the module's name."""

    @property
    def facts(self) -> dict[str, Any]:
        """What the manifest of a combined run says about this parent."""
        return {
            "variant": str(self.variant),
            "runs": [
                {
                    "name": run.name,
                    "method": run.manifest.method,
                    "weights": run.weights_hash,
                    "signed_coefficient": signed,
                }
                for run, signed in self.parts
            ],
        }


def read_operand(text: str) -> Operand:
    """The operand that a variant's text names.

    Raises:
        ValueError: if a run is unknown or unfinished, or if the variant is the base.
    """
    variant = resolve_variant(text, lambda name: runs.find_run(name).known)
    if not variant.coefficients:
        raise ValueError(f"variant {text!r} is the base, so it has no vector to combine; name a run with a coefficient")
    parts = tuple((run, signed) for run, signed in signed_runs(variant) if signed)
    return Operand(variant, parts, _sum_changes(parts))


def require_one_base(operands: Sequence[Operand]) -> None:
    """Check that all runs were trained on the same base.

    Raises:
        ValueError: if two runs were trained on different bases.
    """
    every = [run for operand in operands for run, _ in operand.parts]
    if len({run.manifest.base_fingerprint for run in every}) > 1:
        names = ", ".join(f"{run.name} on {run.manifest.base}" for run in every)
        raise ValueError(f"runs of different bases cannot be combined: {names}; choose runs of one base")


def require_same_modules(operands: Sequence[Operand]) -> None:
    """Check that all operands change the same modules.

    Raises:
        ValueError: if they do not; the message names the kinds of modules of each.
    """
    if any(operand.changes.keys() != operands[0].changes.keys() for operand in operands):
        kinds = "; ".join(f"{operand.variant} changes {', '.join(_kinds(operand))}" for operand in operands)
        layers = "" if len({tuple(_kinds(operand)) for operand in operands}) > 1 else ", not in the same layers"
        raise ValueError(
            f"this operation needs runs that change the same weights, but {kinds}{layers}; choose runs with the same "
            "--target, or operation sum, difference, ties or dare"
        )


def _kinds(operand: Operand) -> list[str]:
    return sorted({module.rpartition(".")[2] for module in operand.changes})


def _sum_changes(parts: Sequence[tuple[Run, float]]) -> dict[str, LowRank]:
    every = [(read_changes(run), signed) for run, signed in parts]
    summed = {}
    for module in sorted({module for changes, _ in every for module in changes}):
        present = [(changes[module], signed) for changes, signed in every if module in changes]
        summed[module] = stack([change for change, _ in present], [signed for _, signed in present])
    return summed
