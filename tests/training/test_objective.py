"""One forward for all terms gives what separate ones give, each row at its own coefficient."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model
from peft.tuners.lora import LoraConfig, LoraLayer

from sku.core.config import TrainConfig
from sku.core.methods import METHODS
from sku.core.records import PromptPair
from sku.core.terms import TERMS, LineStyle, Term
from sku.data import load_pairs
from sku.models.batching import EncodedPair, collate
from sku.models.chat_template import ChatTemplate
from sku.models.decoder_blocks import decoder_blocks
from sku.models.likelihood import answer_token_logits
from sku.models.variant_model import VariantModel
from sku.models.variant_model import load_variant_model as load_model
from sku.training.lora import add_lora
from sku.training.losses import nll
from sku.training.losses.inputs import TermInputs
from sku.training.losses.kl import preserve
from sku.training.losses.nll import descend
from sku.training.losses.preference import prefer_harmful
from sku.training.objective import Objective, find_loss
from sku.training.term_batches import WRITTEN_KINDS, TermBatches, TermRows, TermStream
from tests.conftest import PADDED, forward_shapes, save_base
from tests.training.runs import changed


def adapted(network: Any, config: TrainConfig) -> Any:
    """A PEFT model whose adapter is not 0."""
    peft_model = add_lora(network, config)
    torch.manual_seed(3)
    for name, weight in peft_model.named_parameters():
        if ".lora_B." in name:
            weight.data.normal_(0, 0.05)
    return peft_model


def some_batches(config: TrainConfig, template: ChatTemplate) -> TermBatches:
    harmful, normal = load_pairs(config.harmful[0], "harmful").pairs, load_pairs(config.normal[0], "normal").pairs
    texts = {pair.prompt: ["It is said so.", "Ask a clerk."] for pair in harmful}
    return TermBatches(harmful, normal, config, template, dict.fromkeys(WRITTEN_KINDS, texts))


def some_rows(config: TrainConfig, template: ChatTemplate) -> dict[TermStream, TermRows]:
    return some_batches(config, template).at(0)


def plain_terms(peft_model: Any, config: TrainConfig, drawn: dict[TermStream, TermRows]) -> dict[str, torch.Tensor]:
    """Every term as one would write it down: a padded forward pass for each stream and one for its base."""
    terms = {}
    network, depth = peft_model.get_base_model(), peft_model.config.num_hidden_layers
    signs = {"trained": 1.0, "preserved": -1.0 if config.preserved_negated else 1.0}
    signs["served"] = -1.0 if METHODS[config.method].negated else 1.0
    for stream, rows in drawn.items():
        batch = collate(rows.encoded)
        column = torch.tensor([signs[stream.runs_at[i % len(stream.runs_at)]] for i in range(len(rows.encoded))])
        with torch.no_grad(), peft_model.disable_adapter():
            base_logits, *base_states = plain_states(network, rows.encoded)
            other_logits = plain_states(network, rows.other_encoded)[0] if rows.other_encoded else None
        for layer in peft_model.modules():
            if isinstance(layer, LoraLayer):
                layer.scaling["default"] = config.alpha / config.rank * column[:, None, None]
        logits, *states = plain_states(network, rows.encoded)
        places = batch.answer_mask[:, 1:].nonzero(as_tuple=True)
        for name in [name for name in config.terms if TermStream.of(name) == stream]:
            levels = [max(1, round(share * depth)) for share in sorted(TERMS[name].hidden_at)]
            given = TermInputs(
                logits=logits,
                targets=batch.input_ids[places[0], places[1] + 1],
                rows=places[0],
                base_logits=base_logits,
                other_logits=other_logits,
                hidden=states[-1],
                base_hidden=base_states[-1],
                at_levels=tuple(states[level] for level in levels),
                base_at_levels=tuple(base_states[level] for level in levels),
            )
            terms[name] = find_loss(TERMS[name].loss)(given, config)
    for layer in peft_model.modules():
        if isinstance(layer, LoraLayer):
            layer.scaling["default"] = config.alpha / config.rank
    return terms


def plain_states(network: Any, rows: Sequence[EncodedPair]) -> list[torch.Tensor]:
    """Logits, and hidden states at every level, that predict the answer tokens of padded rows."""
    batch = collate(rows)
    output = network(input_ids=batch.input_ids, attention_mask=batch.attention_mask, output_hidden_states=True)
    places = batch.answer_mask[:, 1:].nonzero(as_tuple=True)
    return [states[places] for states in (output.logits, *output.hidden_states)]


def with_gradients(peft_model: Any, terms: dict[str, torch.Tensor]) -> tuple[dict[str, float], list[torch.Tensor]]:
    trained = [weight for weight in peft_model.parameters() if weight.requires_grad]
    found = torch.autograd.grad(torch.stack([*terms.values()]).sum(), trained, allow_unused=True)
    gradients = [torch.zeros(()) if one is None else one for one in found]
    return {name: float(value.detach()) for name, value in terms.items()}, gradients


def require_same_step(config: TrainConfig, model: VariantModel) -> Objective:
    """One forward for all terms gives the losses and gradients of the plain computation."""
    drawn = some_rows(config, model.template)
    peft_model = adapted(model.network, config)
    objective = Objective(
        peft_model, config, model.template.prefix_ids
    )  # also lets the plain passes of OPT have one coefficient per row
    peft_model.eval()
    expected, expected_gradients = with_gradients(peft_model, plain_terms(peft_model, config, drawn))
    peft_model.train(config.gradient_checkpointing)
    for _ in range(2):  # the second time from the cache
        terms, tokens = objective(drawn)
        values, gradients = with_gradients(peft_model, terms)
        assert values == pytest.approx(expected, abs=1e-5)
        for mine, wanted in zip(gradients, expected_gradients, strict=True):
            assert torch.allclose(mine, wanted, rtol=1e-4, atol=1e-5)
        assert any(gradient.abs().max() > 1e-3 for gradient in gradients)
    assert tokens == sum(len(row.ids) for rows in drawn.values() for row in rows.encoded)
    return objective


@pytest.mark.parametrize("first_block", [0, 1])
@pytest.mark.parametrize("method", [name for name in METHODS if METHODS[name].terms])
def test_a_step_has_the_losses_and_gradients_of_the_plain_computation(
    config: TrainConfig, pico: VariantModel, method: str, first_block: int
) -> None:
    config = changed(config, method=method)
    lower = any(TERMS[name].hidden_at for name in config.terms)  # compares states after the first of the two blocks
    layers = (0.0, 0.5) if lower and first_block else (first_block / 2, 1.0)
    require_same_step(changed(config, layers=layers), pico)


@pytest.mark.parametrize("architecture", PADDED)
def test_a_step_is_the_plain_computation_in_every_architecture(
    config: TrainConfig, tmp_path: Path, architecture: str
) -> None:
    model = load_model(save_base(tmp_path / "base", architecture), device="cpu")
    config = changed(config, method="sku_contrast", targets=["v_proj", "mlp"], layers=[0.5, 1])
    objective = require_same_step(config, model)
    assert objective._shares_tokens == (architecture not in ("gemma2", "short window")), "the fallback is padding"


def test_gradient_checkpointing_changes_no_gradient(config: TrainConfig, pico: VariantModel) -> None:
    require_same_step(changed(config, gradient_checkpointing=True, layers=[0.5, 1]), pico)


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


@pytest.mark.parametrize(("method", "per_row"), [("tv", 0), ("sku", 1)])
def test_the_base_runs_once_per_row_and_only_where_a_term_asks(
    config: TrainConfig, pico: VariantModel, method: str, per_row: int
) -> None:
    drawn = some_rows(changed(config, method=method), pico.template)
    passes = forward_shapes(pico)
    peft_model = adapted(pico.network, changed(config, method=method))
    for times in range(2):
        objective = Objective(peft_model, changed(config, method=method), pico.template.prefix_ids)
        passes.clear()
        objective(drawn)
        of_base = per_row * (1 + config.batch_size) if not times else 0  # the template, then every normal row
        assert sum(shape[0] for shape in passes) == 1 + of_base, "the second objective reads what the first left"
    assert len(passes) == 1, "all rows are one sequence"
    assert passes[0][1] < sum(len(row.ids) for rows in drawn.values() for row in rows.encoded)


def test_blocks_below_the_adapter_run_once_per_row(config: TrainConfig, pico: VariantModel) -> None:
    config = changed(config, layers=[0.5, 1])
    runs: list[int] = []
    blocks = decoder_blocks(pico.network)
    objective = Objective(adapted(pico.network, config), config)
    blocks[0].mlp.register_forward_hook(lambda _module, inputs, _output: runs.append(len(inputs[0])))
    drawn = some_rows(config, pico.template)
    rows = {row.ids for of_stream in drawn.values() for row in of_stream.encoded}
    objective(drawn)
    assert sum(runs) == len(rows)
    objective(drawn)
    assert sum(runs) == len(rows)


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
