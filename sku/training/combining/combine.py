"""Combine runs into a new run: read the operands, compute every module, write the adapter and `run.json`."""

from __future__ import annotations

import dataclasses
import math
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from sku.core import runs
from sku.core.combining import OPERATIONS, CombineConfig
from sku.core.config import TrainConfig
from sku.core.errors import Cancelled
from sku.core.records import digest
from sku.core.run_lock import lock_run
from sku.core.runs import Manifest, Run
from sku.models.pretrained import provision_base
from sku.models.variant_model import load_variant_model as load_model
from sku.training.adapter_files import write_changes
from sku.training.combining.arithmetic import consensus, dare, projection_coefficients, ties
from sku.training.combining.layer_search import LayerOfOperand, SearchResult, layer_of, search_layers
from sku.training.combining.operands import Operand, read_operand, require_one_base, require_same_modules
from sku.training.combining.training_data import merged_training_data
from sku.training.low_rank import LowRank, approximate, stack

CombineReport = Callable[[dict[str, Any]], None]
"""A function that is called with `{"doing": "..."}` before slow work, and with `done`, `todo` and `seconds` as well
after each part of it."""


@dataclasses.dataclass
class _Result:
    """The combined changes, and what the manifest says about them."""

    changes: dict[str, LowRank] = dataclasses.field(default_factory=dict)
    residuals: dict[str, float] = dataclasses.field(default_factory=dict)
    """For every module, |left out| / |exact| (Frobenius norms). 0 means exact."""
    left_out: float = 0.0
    """The sum of the squared norms of what was left out."""
    exact: float = 0.0
    """The sum of the squared norms of the exact changes."""

    def add(self, module: str, change: LowRank, left_out: float, norm: float) -> None:
        self.changes[module] = change
        self.residuals[module] = left_out / norm if norm else 0.0
        self.left_out += left_out**2
        self.exact += norm**2

    @property
    def residual(self) -> float:
        """|left out| / |exact| of all modules together, to six places."""
        return round(math.sqrt(self.left_out / self.exact), 6) if self.exact else 0.0


def combine_runs(
    out: Path,
    config: CombineConfig,
    report: CombineReport = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Run:
    """Combine variants into the new run folder `out`.

    Args:
        out: a folder without a run.
        config: the operation, its operands and settings.
        report: called before and during slow work.
        cancelled: called between two modules or trials. If it returns True, `Cancelled` is raised.

    Returns:
        The finished run. Its manifest names the parents and what the decomposition left out.

    Raises:
        Cancelled: if `cancelled` returned True. Nothing is written.
        FileExistsError: if `out` already holds a run.
        ValueError: if the operands do not fit each other or the operation, or the rank is too large.
    """
    with lock_run(out):
        return _combine(out, config, report, cancelled)


def _combine(out: Path, config: CombineConfig, report: CombineReport, cancelled: Callable[[], bool]) -> Run:
    if (out / "run.json").exists() and runs.read_run(out).begun:
        raise FileExistsError(f"{out} already holds a run; name another folder")
    began = time.perf_counter()
    operands = [read_operand(text) for text in config.variants]
    require_one_base(operands)
    if OPERATIONS[config.operation].same_modules:
        require_same_modules(operands)
    rank = _rank(operands, config)
    search = _search(operands, config, report, cancelled) if config.operation == "search" else None
    result = _compute(operands, config, rank, search, report, cancelled)
    if not result.exact:
        raise ValueError(_empty_text(config, search))
    return _write(out, operands, config, result, search, time.perf_counter() - began)


def _empty_text(config: CombineConfig, search: SearchResult | None) -> str:
    if search is not None:
        return (
            f"the search found no layer that lowers the likelihood of harmful answers within a KL of "
            f"{config.kl_budget:g}; raise --kl-budget, or lower --step"
        )
    return f"the result of {config.operation} is zero in every matrix; choose other variants or settings"


def _rank(operands: Sequence[Operand], config: CombineConfig) -> int:
    """The rank of the result.

    Raises:
        ValueError: if a larger rank is wanted than the largest matrix can have.
    """
    full = max(change.full_rank for operand in operands for change in operand.changes.values())
    together = sum(max(change.rank for change in operand.changes.values()) for operand in operands)
    if config.rank is not None and config.rank > full:
        raise ValueError(f"rank {config.rank} is too large: these matrices have at most rank {full}; lower --rank")
    if config.rank is not None:
        return config.rank
    return together if OPERATIONS[config.operation].linear else min(together, full)


def _search(
    operands: Sequence[Operand], config: CombineConfig, report: CombineReport, cancelled: Callable[[], bool]
) -> SearchResult:
    manifest = operands[0].parts[0][0].manifest
    report({"doing": f"loading {manifest.base}"})
    model = load_model(provision_base(manifest.base, lambda line: report({"doing": line})))
    if manifest.base_fingerprint not in ("", model.fingerprint):
        raise ValueError(
            f"the runs were trained on a base with fingerprint {manifest.base_fingerprint}, but {manifest.base} now "
            f"has {model.fingerprint}; restore the old base"
        )
    return search_layers(operands, model, config, report, cancelled)


def _compute(
    operands: Sequence[Operand],
    config: CombineConfig,
    rank: int,
    search: SearchResult | None,
    report: CombineReport,
    cancelled: Callable[[], bool],
) -> _Result:
    result = _Result()
    modules = sorted({module for operand in operands for module in operand.changes})
    began = time.perf_counter()
    for done, module in enumerate(modules, start=1):
        if cancelled():
            raise Cancelled("stopped; nothing was written")
        present = next(operand.changes[module] for operand in operands if module in operand.changes)
        vectors = [operand.changes.get(module, present.zero()) for operand in operands]
        if OPERATIONS[config.operation].linear:
            exact = stack(vectors, _coefficients(vectors, module, config, search))
            _add_linear(result, module, exact, rank)
        else:
            matrix = _elementwise([vector.product() for vector in vectors], module, config)
            change, left_out = approximate(matrix, min(rank, present.full_rank))
            result.add(module, change, left_out, float(matrix.norm()))
        seconds = time.perf_counter() - began
        report({"doing": f"computing {config.operation}", "done": done, "todo": len(modules), "seconds": seconds})
    return result


def _add_linear(result: _Result, module: str, exact: LowRank, rank: int) -> None:
    """Keep the stacked factors if they fit the rank, and approximate their product otherwise."""
    norm = math.sqrt(max(0.0, exact.inner(exact)))
    if exact.rank <= rank:
        result.add(module, exact, 0.0, norm)
    else:
        result.add(module, *approximate(exact.product(), min(rank, exact.full_rank)), norm)


def _coefficients(
    vectors: Sequence[LowRank], module: str, config: CombineConfig, search: SearchResult | None
) -> list[float]:
    """The coefficients of the operands in one module, for a linear operation."""
    if search is not None:
        layer = layer_of(module)
        return [search.coefficients.get(LayerOfOperand(i, layer), 0.0) for i in range(len(vectors))]
    if config.operation == "project":
        return projection_coefficients(vectors)
    rest = -1.0 if config.operation == "difference" else 1.0
    return [1.0, *[rest] * (len(vectors) - 1)]


def _elementwise(matrices: Sequence[torch.Tensor], module: str, config: CombineConfig) -> torch.Tensor:
    if config.operation == "ties":
        return ties(matrices, config.density)
    if config.operation == "dare":
        seed = digest(str(config.seed), module)
        return dare(matrices, config.drop, torch.Generator().manual_seed(int(seed[:15], 16)))
    return consensus(matrices)


def _write(
    out: Path,
    operands: Sequence[Operand],
    config: CombineConfig,
    result: _Result,
    search: SearchResult | None,
    seconds: float,
) -> Run:
    first = operands[0].parts[0][0].manifest
    temporary = out / ".adapter.making"
    shutil.rmtree(temporary, ignore_errors=True)
    lora = write_changes(temporary, result.changes, first.base)
    data = merged_training_data([run for operand in operands for run, _ in operand.parts])
    settings = TrainConfig(
        method="combined",
        model=first.base,
        steps=1,
        rank=lora.r,
        alpha=lora.r,
        targets=tuple(sorted({module.rpartition(".")[2] for module in result.changes})),
        seed=config.seed,
        **data.settings,
    )
    parents = " and ".join(str(operand.variant) for operand in operands)
    manifest = Manifest(
        method="combined",
        config=settings.to_dict(),
        base=first.base,
        base_fingerprint=first.base_fingerprint,
        data=data.facts,
        status="finished",
        seconds=seconds,
        packages=runs.package_versions(),
        note=f"{OPERATIONS[config.operation].label} of {parents}; rank {lora.r}, residual {result.residual:.2g}",
        combination={
            "operation": config.operation,
            "settings": config.used_settings | {"rank": lora.r},
            "parents": [operand.facts for operand in operands],
            "residual": result.residual,
            "residual_by_module": result.residuals,
        }
        | ({"search": _search_facts(search)} if search else {}),
    )
    runs.write_manifest(out, manifest)
    temporary.rename(out / "adapter")
    return Run(out, manifest)


def _search_facts(search: SearchResult) -> dict[str, Any]:
    by_operand: dict[int, dict[str, float]] = {}
    for place, coefficient in sorted(search.coefficients.items()):
        by_operand.setdefault(place.operand, {})[place.layer] = coefficient
    return {
        "coefficients_by_layer": list(by_operand.values()),
        "harmful_log_prob": [search.before.harmful, search.after.harmful],
        "kl": search.after.kl,
        "trials": search.trials,
    }
