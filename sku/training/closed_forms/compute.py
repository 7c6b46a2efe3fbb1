"""Make a run without training steps: load the base, compute the method's change, and write it as an adapter."""

from __future__ import annotations

import dataclasses
import math
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from torch import Tensor

from sku.core import runs
from sku.core.config import TrainConfig
from sku.core.errors import Cancelled
from sku.core.methods import METHODS
from sku.core.records import PromptPair
from sku.core.runs import Manifest, Run
from sku.models.batching import MIN_ANSWER_TOKENS, EncodedPair, encode_pair
from sku.models.pretrained import provision_base
from sku.models.variant_model import VariantModel
from sku.models.variant_model import load_variant_model as load_model
from sku.training.adapter_files import write_changes
from sku.training.closed_forms.inputs import ClosedForm, ClosedFormInputs
from sku.training.low_rank import LowRank, approximate
from sku.training.run_writer import RunWriter
from sku.training.train_data import gather_pairs, read_sources, source_notes

Report = Callable[[dict[str, Any]], None]


def compute_closed_form(out: Path, config: TrainConfig, report: Report, cancelled: Callable[[], bool]) -> Run:
    """Compute the run of a method that has no training steps into the folder `out`.

    Args:
        out: a folder without a run.
        config: names a method with a `closed_form`.
        report: called with a message before slow work.
        cancelled: called between forward passes. If it returns True, `Cancelled` is raised.

    Raises:
        Cancelled: if `cancelled` returned True.
        ValueError: if the data cannot be used, or the method does not fit the architecture.
    """

    def check() -> None:
        if cancelled():
            raise Cancelled("stopped; nothing is lost but the time")

    def say(doing: str) -> None:
        check()
        report({"doing": doing})

    manifest = Manifest(config.method, config.to_dict(), config.model, "", packages=runs.package_versions())
    writer = RunWriter(out, dataclasses.replace(manifest, pid=os.getpid()), True)
    try:
        return _compute(writer, config, say, check)
    except (Cancelled, KeyboardInterrupt):
        writer.update(status="cancelled", pid=None)
        raise
    except Exception as error:
        writer.update(status="failed", reason=str(error) or type(error).__name__, pid=None)
        raise


def _compute(writer: RunWriter, config: TrainConfig, say: Callable[[str], None], check: Callable[[], None]) -> Run:
    began = time.perf_counter()
    harmful_sources, normal_sources = read_sources(config, "harmful"), read_sources(config, "normal")
    for note in source_notes([*harmful_sources, *normal_sources]):
        say(note)
    say(f"loading {config.model}")
    model = load_model(provision_base(config.model, say), config.dtype)
    harmful, harmful_facts = gather_pairs(config, "harmful", harmful_sources, model, say)
    normal, normal_facts = gather_pairs(config, "normal", normal_sources, model, say)
    inputs = ClosedFormInputs(
        model, _encode(model, harmful, "harmful", config), _encode(model, normal, "normal", config), config, check
    )
    say(f"reading the base's activations on {len(inputs.harmful)} harmful and {len(inputs.normal)} normal answers")
    exact = find_closed_form(config.method)(inputs)
    say(f"decomposing {len(exact)} matrices")
    changes, residual = decompose(exact, config.rank)
    targets = sorted({name.rpartition(".")[2] for name in changes})
    rank = write_adapter(writer.folder, changes, config.model)
    settings = dataclasses.replace(config, targets=tuple(targets), rank=rank, alpha=rank)
    writer.update(
        config=settings.to_dict(),
        base_fingerprint=model.fingerprint,
        data={"harmful": harmful_facts, "normal": normal_facts},
        status="finished",
        seconds=time.perf_counter() - began,
        pid=None,
        note=f"computed without training; rank {rank} leaves out {residual:.2g} of the change (Frobenius norm)",
    )
    return writer.run


def find_closed_form(method: str) -> ClosedForm:
    """The function that `Method.closed_form` names."""
    function: ClosedForm = resolve_name(f"sku.training.closed_forms.{METHODS[method].closed_form}")
    return function


def decompose(exact: Mapping[str, Tensor], rank: int) -> tuple[dict[str, LowRank], float]:
    """The best approximation of every matrix at a rank, and the share of the Frobenius norm of all that is left out."""
    changes, left_out, whole = dict[str, LowRank](), 0.0, 0.0
    for name, matrix in exact.items():
        changes[name], missed = approximate(matrix.cpu(), min(rank, *matrix.shape))
        left_out += missed**2
        whole += float(matrix.double().norm()) ** 2
    return changes, round(math.sqrt(left_out / whole), 6) if whole else 0.0


def write_adapter(folder: Path, changes: Mapping[str, LowRank], base: str) -> int:
    """Write the adapter of a run and return its rank."""
    temporary = folder / ".adapter.making"
    shutil.rmtree(temporary, ignore_errors=True)
    rank = int(write_changes(temporary, changes, base).r)
    shutil.rmtree(folder / "adapter", ignore_errors=True)
    temporary.rename(folder / "adapter")
    return rank


def _encode(
    model: VariantModel, pairs: Sequence[PromptPair], kind: str, config: TrainConfig
) -> tuple[EncodedPair, ...]:
    room = config.max_tokens - MIN_ANSWER_TOKENS
    fitting = [
        pair for pair in pairs if pair.answer and len(model.template.prompt_ids(pair.prompt, pair.before)) <= room
    ]
    if not fitting:
        raise ValueError(
            f"no {kind} training pair fits {config.max_tokens} tokens; raise max_tokens or choose other data"
        )
    return tuple(encode_pair(model.template, pair, config.max_tokens) for pair in fitting)
