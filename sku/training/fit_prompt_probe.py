"""Fit the probe that tells prompts that are likely to draw harmful text (`models/prompt_probe.py`), and test it.

It is fitted on the training sides of its sources. All figures of its card are from test sides.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sku.core import storage
from sku.core.records import PairKind
from sku.data import load_pairs
from sku.data.splits import Side, split
from sku.judges.agreement import auc
from sku.models.gate import Gate, fit_gate, save_gate
from sku.models.partial_forward import PartialForward
from sku.models.prompt_probe import PROBE_CARD
from sku.models.shared_tokens import lay_out, use_shared_tokens
from sku.models.variant_model import VariantModel

PROBE_DEPTH = 0.6
"""Where the probe reads, as a fraction of the base's decoder blocks."""
FALSE_ALARMS = 0.08
"""The share of harmless training prompts that may be taken for harmful ones. Their answers are hidden until judged."""
_PROMPTS_PER_FORWARD = 32

Specs = Mapping[PairKind, Sequence[str]]
"""Data sources of each kind."""
_States = dict[tuple[PairKind, str], Tensor]
"""The states `[P, H]` of the prompts of each source."""


def fit_prompt_probe(
    out: Path,
    model: VariantModel,
    base: str,
    fitted: Specs,
    others: Specs,
    limit: int,
    report: Callable[[dict[str, Any]], None] = lambda _: None,
) -> dict[str, Any]:
    """Fit a probe, test it, and write it into the folder `out`.

    Args:
        out: the folder.
        model: the base.
        base: its name, for the card.
        fitted: the sources whose training sides the probe is fitted on, and whose test sides test it.
        others: sources that only test it, with their test sides.
        limit: the largest number of prompts of each source and side.
        report: called with what is done.

    Returns:
        The probe's card.

    Raises:
        ValueError: if a source is unknown or has too few prompts.
    """
    blocks = int(model.network.config.num_hidden_layers)
    block = max(1, min(blocks - 1, round(PROBE_DEPTH * blocks)))
    train = _read(model, block, fitted, "train", limit, report)
    probe = fit_gate(_all(train, "harmful"), _all(train, "normal"), block, FALSE_ALARMS, hard=True)
    card = {
        "base": base,
        "base_hash": model.loaded_hash,
        "what": f"ridge probe of the base's hidden state at the last prompt token, after block {block} of {blocks}",
        "threshold": f"the score that {FALSE_ALARMS:.0%} of the harmless training prompts reach, left out one by one",
        "fitted_on": _counts(train),
        "held_out": _tested(probe, _read(model, block, fitted, "test", limit, report)),
        "held_out_of_other_sources": _tested(probe, _read(model, block, others, "test", limit, report)),
    }
    out.mkdir(parents=True, exist_ok=True)
    save_gate(out, probe)
    storage.write_atomically(out / PROBE_CARD, json.dumps(card, indent=2) + "\n")
    return card


def _read(
    model: VariantModel, block: int, specs: Specs, side: Side, limit: int, report: Callable[[dict[str, Any]], None]
) -> _States:
    """The states of the prompts on one side of the sources; a source without prompts there is left out."""
    read: _States = {}
    for kind, names in specs.items():
        for name in names:
            data = load_pairs(name, kind)
            pairs = sorted(split(data.pairs, side), key=lambda pair: pair.prompt_id)
            prompts = list(dict.fromkeys(pair.prompt for pair in pairs))[:limit]
            if prompts:
                report({"doing": f"reading {len(prompts)} {side} prompts of {data.name} ({kind})"})
                read[kind, data.name] = last_states(model, prompts, block)
    return read


@torch.no_grad()
def last_states(model: VariantModel, prompts: Sequence[str], block: int) -> Tensor:
    """The base's states `[P, H]` at the last token of each prompt after `block` blocks; later blocks do not run."""
    forward, shared, states = PartialForward(model.network), use_shared_tokens(model.network), []
    for start in range(0, len(prompts), _PROMPTS_PER_FORWARD):
        rows = [model.template.prompt_ids(prompt) for prompt in prompts[start : start + _PROMPTS_PER_FORWARD]]
        layout = lay_out(rows, [0] * len(rows), shared, model.device)
        hidden = forward.run(layout, {block})[block].flatten(0, 1)  # (tokens, H)
        places = [int(layout.places[i, len(row) - 1]) for i, row in enumerate(rows)]
        states.append(hidden[places].float().cpu())
    return torch.cat(states)


def _all(read: _States, kind: PairKind) -> Tensor:
    """The states of one kind."""
    found = [states for (of_kind, _), states in read.items() if of_kind == kind]
    return torch.cat(found) if found else torch.empty(0, 1)


def _counts(read: _States) -> dict[str, int]:
    return {f"{name} ({kind})": len(states) for (kind, name), states in read.items()}


def _tested(probe: Gate, read: _States) -> dict[str, Any]:
    """The AUC over all prompts, and the share of each source's prompts whose answers are hidden at once."""
    scores = [(probe.score(state), kind == "harmful") for (kind, _), states in read.items() for state in states]
    area = auc([score for score, _ in scores], [label for _, label in scores])
    hidden = {
        f"{name} ({kind})": {"prompts": len(states), "hidden": round(sum(map(probe.value, states)) / len(states), 3)}
        for (kind, name), states in read.items()
    }
    return {"auc": None if area is None else round(area, 4), "sources": hidden}
