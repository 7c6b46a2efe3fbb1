"""The probe that says, before a word is written, whether a prompt is likely to draw harmful text.

It is a hard gate (`gate.py`) on the base's state at the last prompt token. `sku train-probe` fits it for one base, and
it is used only for a base with exactly those weights. For other bases nothing is known.
"""

from __future__ import annotations

import json
from pathlib import Path

from sku.core.file_cache import read_if_changed
from sku.core.runs import GATE
from sku.core.storage import ASSETS
from sku.models.gate import Gate, load_gate
from sku.models.gating import prompt_state
from sku.models.variant_model import VariantModel

PROMPT_PROBE = ASSETS / "prompt_probe"
"""The shipped probe: its weights, and a card that says how it was fitted and how well it tells prompts apart."""
PROBE_CARD = "probe.json"


def load_probe(model: VariantModel, folder: Path) -> Gate | None:
    """The probe in `folder` if it was fitted on exactly the weights of this base; otherwise None.

    Raises:
        ValueError: if the files are damaged.
    """
    card, gate = folder / PROBE_CARD, folder / GATE
    if not card.is_file() or read_if_changed(card, _fitted_on) != model.loaded_hash or not gate.is_file():
        return None
    return read_if_changed(gate, _gate_of)


def _fitted_on(card: Path) -> str:
    """The hash of the base that the card names."""
    try:
        return str(json.loads(card.read_text(encoding="utf-8"))["base_hash"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{card} is damaged ({error}); fit the probe again with `sku train-probe`") from error


def _gate_of(file: Path) -> Gate | None:
    return load_gate(file.parent)


def draws_harm(model: VariantModel, probe: Gate, prompt: str) -> bool:
    """Whether the probe takes the prompt for one that asks for harm."""
    return probe.value(prompt_state(model, model.template.prompt_ids(prompt), probe.block)) > 0
