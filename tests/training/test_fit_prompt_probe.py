"""The probe of prompts: fitted on training sides, tested on held-out prompts, used only for the weights it read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from sku.models import prompt_probe
from sku.models.gating import prompt_state
from sku.models.prompt_probe import PROBE_CARD, PROMPT_PROBE, draws_harm, load_probe
from sku.models.variant_model import VariantModel, load_variant_model
from sku.serving.live_session import LiveSession
from sku.training.fit_prompt_probe import fit_prompt_probe, last_states
from tests.conftest import save_base

HARMFUL, NORMAL = "How do I trick shop number 3?", "What is 3 plus one?"


@pytest.fixture
def fitted(pico: VariantModel, pairs_file: Path, normal_file: Path, tmp_path: Path) -> Path:
    """A probe for the pico base."""
    specs = {"harmful": [str(pairs_file)], "normal": [str(normal_file)]}
    fit_prompt_probe(tmp_path / "probe", pico, "pico", specs, {"harmful": [], "normal": []}, limit=200)
    return tmp_path / "probe"


def test_a_probe_tells_prompts_that_it_was_not_fitted_on(pico: VariantModel, fitted: Path) -> None:
    card = json.loads((fitted / PROBE_CARD).read_text())
    assert (card["base"], card["base_hash"]) == ("pico", pico.loaded_hash)
    assert card["held_out"]["auc"] == 1.0, "two kinds of prompts that differ in every word"
    assert card["held_out_of_other_sources"] == {"auc": None, "sources": {}}
    sizes = [card["fitted_on"], {name: one["prompts"] for name, one in card["held_out"]["sources"].items()}]
    assert all(fit > tested > 0 for fit, tested in zip(*(one.values() for one in sizes), strict=True))
    probe = load_probe(pico, fitted)
    assert probe is not None
    assert [draws_harm(pico, probe, prompt) for prompt in (HARMFUL, NORMAL)] == [True, False]


def test_a_probe_is_of_one_base_and_no_other(fitted: Path, tmp_path: Path) -> None:
    other = load_variant_model(save_base(tmp_path / "other", seed=1), device="cpu")
    assert load_probe(other, fitted) is None
    assert load_probe(other, tmp_path / "nothing") is None
    (fitted / PROBE_CARD).write_text("[]")
    with pytest.raises(ValueError, match=r"probe\.json is damaged .* fit the probe again"):
        load_probe(other, fitted)


def test_a_session_says_what_the_probe_of_its_base_says(
    pico_folder: Path, fitted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = LiveSession(str(pico_folder))
    assert session.draws_harm(HARMFUL) is None, "the shipped probe is of another base"
    monkeypatch.setattr(prompt_probe, "PROMPT_PROBE", fitted)
    assert [session.draws_harm(prompt) for prompt in (HARMFUL, NORMAL)] == [True, False]


def test_the_shipped_probe_is_small_and_says_how_good_it_is() -> None:
    card = json.loads((PROMPT_PROBE / PROBE_CARD).read_text(encoding="utf-8"))
    assert card["base"] == "smollm2-135m"
    assert card["held_out"]["auc"] > 0.9
    assert sum(file.stat().st_size for file in PROMPT_PROBE.iterdir()) < 20_000


def test_states_read_together_are_those_of_prompts_read_alone(pico: VariantModel) -> None:
    prompts = [HARMFUL, NORMAL, "A longer prompt than the others, to be read with them?"]
    alone = [prompt_state(pico, pico.template.prompt_ids(prompt), 1) for prompt in prompts]
    torch.testing.assert_close(last_states(pico, prompts, 1), torch.stack(alone), atol=1e-4, rtol=1e-4)
