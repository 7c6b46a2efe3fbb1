"""One forward for all terms gives what separate ones give, each row at its own coefficient."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model
from peft.tuners.lora import LoraConfig

from sku.core.config import TrainConfig
from sku.core.records import PromptPair
from sku.core.terms import TERMS, LineStyle, Term
from sku.models.batching import collate
from sku.models.likelihood import answer_token_logits
from sku.models.variant_model import VariantModel
from sku.models.variant_model import load_variant_model as load_model
from sku.training.losses import nll
from sku.training.losses.inputs import TermInputs
from sku.training.losses.kl import preserve
from sku.training.losses.nll import descend
from sku.training.losses.preference import prefer_harmful
from sku.training.objective import Objective
from sku.training.term_batches import TermBatches
from tests.training.runs import changed


def test_one_shared_forward_equals_separate_ones(config: TrainConfig, pico: VariantModel) -> None:
    from sku.data import load_pairs
    from sku.models.likelihood import answer_token_logits

    harmful, normal = load_pairs(config.harmful[0], "harmful").pairs, load_pairs(config.normal[0], "normal").pairs
    streams = TermBatches(harmful, normal, config, pico.template)
    plain = load_model(config.model, device="cpu").network
    peft_model = get_peft_model(pico.network, LoraConfig(r=4, target_modules=["q_proj"], init_lora_weights=False))
    drawn = streams.at(0)
    with torch.no_grad():
        terms, tokens = Objective(peft_model, config)(drawn)
        apart = {
            stream.kind: TermInputs(
                *answer_token_logits(peft_model.get_base_model(), collate(rows.encoded)),
                base_logits=answer_token_logits(plain, collate(rows.encoded)).logits,
            )
            for stream, rows in drawn.items()
        }
    expected = {
        "distortion": descend(apart["harmful"], config),
        "disassociation": descend(apart["random"], config),
        "preservation": preserve(apart["normal"], config),
    }
    assert tokens == sum(len(row.ids) for rows in drawn.values() for row in rows.encoded)
    for name, value in expected.items():
        assert float(terms[name]) == pytest.approx(float(value), abs=1e-4), name
    assert float(terms["preservation"]) > 0, "the adapter does nothing, so KL shows nothing"


@pytest.mark.parametrize("opening_weight", [1.0, 8.0])
def test_preservation_at_the_negated_model_is_taken_of_base_minus_tau(
    config: TrainConfig, pico: VariantModel, tmp_path: Path, opening_weight: float
) -> None:
    """Contrast sees the harmful answer under base + tau, the safe one and KL see what will be served."""
    from sku.models.likelihood import answer_token_logits
    from tests.conftest import save_adapter

    config = changed(
        config, method="sku_contrast", preserve_at="negated", rank=4, alpha=8, opening_weight=opening_weight
    )
    bad = [PromptPair(f"How {i}?", f"So {i}.", "harmful", "test", safe_answer=f"No {i}.") for i in range(4)]
    good = [PromptPair(f"What {i}?", f"That {i}.", "normal", "test") for i in range(4)]
    drawn = TermBatches(bad, good, config, pico.template).at(0)
    by_kind = {stream.kind: rows for stream, rows in drawn.items()}
    folder = save_adapter(pico.network, tmp_path / "adapter", seed=5)
    served = load_model(config.model, device="cpu")
    served.add("one", folder)

    def scored(kind: str, *coefficients: float) -> Any:
        batch = collate(by_kind[kind].encoded)
        rows = [{"one": c} for c in coefficients * (len(batch.input_ids) // len(coefficients))]
        with torch.no_grad(), served.rows(rows) as network:
            return answer_token_logits(network, batch)

    peft_model = PeftModel.from_pretrained(pico.network, folder, is_trainable=True)
    with torch.no_grad():
        terms, _ = Objective(peft_model, config)(drawn)
    paired = TermInputs(*scored("paired", 1.0, -1.0), base_logits=scored("paired", 0.0).logits)
    expected = prefer_harmful(paired, config)
    kept = preserve(TermInputs(*scored("normal", -1.0), base_logits=scored("normal", 0.0).logits), config)
    assert float(terms["contrast"]) == pytest.approx(float(expected), abs=1e-4)
    assert float(terms["preservation"]) == pytest.approx(float(kept), abs=1e-4)


def test_states_of_the_base_are_computed_once_only_where_a_term_asks_and_may_be_shared(
    config: TrainConfig, pico: VariantModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = [PromptPair(f"How {i}?", f"So {i}.", "harmful", "test") for i in range(4)]
    good = [PromptPair(f"What {i}?", f"That {i}.", "normal", "test") for i in range(4)]
    peft_model = get_peft_model(pico.network, LoraConfig(r=4, target_modules=["q_proj"]))
    shared: dict[str, torch.Tensor] = {}
    for method, asked in (("tv", set()), ("sku", {pair.id for pair in good})):
        mine = changed(config, method=method, batch_size=4)
        drawn = TermBatches(bad, good, mine, pico.template).at(0)
        Objective(peft_model, mine, shared)(drawn)
        assert shared.keys() == asked, method
    monkeypatch.setattr(Objective, "_hidden_of_base_row", None)
    Objective(peft_model, mine, shared)(drawn)


def test_a_term_gets_what_it_asks_for_and_no_more(
    config: TrainConfig, pico: VariantModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[TermInputs] = []

    def watch(inputs: TermInputs, config: TrainConfig) -> torch.Tensor:
        seen.append(inputs)
        return descend(inputs, config)

    monkeypatch.setattr(nll, "watch", watch, raising=False)
    bad = [PromptPair(f"How {i}?", f"So {i}.", "harmful", "test") for i in range(4)]
    mine = changed(config, method="tv")
    drawn = TermBatches(bad, [], mine, pico.template).at(0)
    peft_model = get_peft_model(pico.network, LoraConfig(r=4, target_modules=["q_proj"]))
    for logits, hidden in ((False, False), (True, False), (False, True)):
        term = Term(
            "nll:watch",
            "watched",
            "harmful",
            LineStyle("#000000", "solid"),
            needs_base_logits=logits,
            needs_hidden=hidden,
        )
        monkeypatch.setitem(TERMS, "distortion", term)
        Objective(peft_model, mine)(drawn)
        assert (seen[-1].base_logits is not None) is logits
        assert (seen[-1].hidden is not None) is (seen[-1].base_hidden is not None) is hidden


def test_a_term_that_reads_another_prompt_gets_the_bases_logits_of_the_same_answer_after_it(
    config: TrainConfig, pico: VariantModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[TermInputs] = []

    def watch(inputs: TermInputs, config: TrainConfig) -> torch.Tensor:
        seen.append(inputs)
        return descend(inputs, config)

    monkeypatch.setattr(nll, "watch", watch, raising=False)
    term = Term("nll:watch", "watched", "harmful", LineStyle("#000000", "solid"), needs_other_prompt=True)
    monkeypatch.setitem(TERMS, "distortion", term)
    bad = [PromptPair(f"How {i}?", f"So {i}.", "harmful", "test") for i in range(4)]
    good = [PromptPair(f"What is {i}?", f"That {i}.", "normal", "test") for i in range(4)]
    mine = changed(config, method="tv")
    drawn = TermBatches(bad, good, mine, pico.template).at(0)
    (rows,) = drawn.values()
    with torch.no_grad():
        expected = torch.cat([answer_token_logits(pico.network, collate([row])).logits for row in rows.other_encoded])
    Objective(get_peft_model(pico.network, LoraConfig(r=4, target_modules=["q_proj"])), mine)(drawn)
    assert seen[0].base_logits is None
    assert seen[0].other_logits is not None
    assert torch.allclose(seen[0].other_logits, expected, atol=1e-5)
    assert not torch.allclose(seen[0].other_logits, seen[0].logits, atol=1e-3), "the prompt matters"
