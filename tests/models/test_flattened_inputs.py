"""Laws of rows of coefficients where a model flattens its batch before a layer, as OPT does before fc1 and fc2."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn

from sku.core.config import DecodingConfig, TrainConfig
from sku.core.records import PromptPair
from sku.core.variants import Variant
from sku.models.batching import encode_answer
from sku.models.generation import generate_answers
from sku.models.likelihood import answer_log_probs
from sku.models.variant_model import VariantModel
from sku.training.objective import Objective
from sku.training.term_batches import TermBatches
from tests.conftest import build_network, byte_tokenizer, save_adapter
from tests.models.test_variant_model import IDS, logits, merged

ROWS: list[dict[str, float]] = [{}, {"tau": 0.0}, {"tau": -1.5}, {"tau": 0.5}]


@pytest.fixture
def opt(tmp_path: Path) -> VariantModel:
    """A pico OPT with an adapter on its flattened layers and on one that is not."""
    network = build_network("opt")
    model = VariantModel(copy.deepcopy(network), byte_tokenizer())
    model.add("tau", save_adapter(network, tmp_path / "adapter", seed=3, targets=("fc1", "fc2", "q_proj")))
    return model


def test_rows_of_flattened_layers_equal_merged_weights_and_zero_is_the_base(opt: VariantModel, tmp_path: Path) -> None:
    network = build_network("opt")
    with torch.no_grad():
        base = network(input_ids=IDS.expand(len(ROWS), -1)).logits
    got = logits(opt, ROWS)
    assert torch.equal(got[:2], base[:2]), "coefficient 0 must be the base bit for bit"
    for row in (2, 3):
        expected = merged(network, tmp_path / "adapter", ROWS[row]["tau"], tmp_path)[0]
        assert (got[row] - expected).abs().max() < 1e-4, f"row {ROWS[row]} is not base + c * tau"
        assert (expected - base[0]).abs().max() > 0.1, "the adapter does nothing, so this test shows nothing"


def test_answers_and_likelihoods_of_a_row_do_not_depend_on_the_other_rows(opt: VariantModel) -> None:
    variants = [Variant("base", 0.0), *(Variant("x", abs(c), {"tau": c}) for c in (-1.5, 0.5))]
    config = DecodingConfig(max_new_tokens=6)
    together = [answer.text for answer in generate_answers(opt, ["Why?"], variants, config)]
    alone = [generate_answers(opt, ["Why?"], [variant], config)[0].text for variant in variants]
    assert together == alone
    assert len(set(together)) > 1, "the adapter does nothing, so this test shows nothing"
    pair = encode_answer(opt.template, "Why?", "Because.", 128)
    scored = answer_log_probs(opt, [pair] * 3, [variant.coefficients for variant in variants])
    apart = [answer_log_probs(opt, [pair], [variant.coefficients])[0] for variant in variants]
    assert scored == pytest.approx(apart, abs=1e-5)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_training_gives_rows_of_flattened_layers_their_own_sign(checkpointing: bool, tmp_path: Path) -> None:
    """The negated rows of a step have the loss of a model whose vector is negated, and every factor has a gradient."""
    model = VariantModel(build_network("opt"), byte_tokenizer())
    pairs = [PromptPair(f"How {i}?", f"So {i}.", "harmful", "test", safe_answer=f"No {i}.") for i in range(4)]
    normal = [PromptPair(f"What {i}?", f"That {i}.", "normal", "test") for i in range(4)]
    config = TrainConfig(method="sku_contrast", rank=4, alpha=8, batch_size=2, max_tokens=128)
    drawn = TermBatches(pairs, normal, config, model.template).at(0)

    def preservation(sign: float, preserve_at: Any) -> tuple[float, Any]:
        network = build_network("opt")
        lora = LoraConfig(r=4, lora_alpha=8, target_modules=["fc1", "fc2"], init_lora_weights=False)
        torch.manual_seed(0)
        peft_model = get_peft_model(network, lora)
        for name, weight in peft_model.named_parameters():
            if "lora_B" in name:
                weight.data.mul_(sign)
        if checkpointing:
            network.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
            network.enable_input_require_grads()
            peft_model.train()
            for module in network.modules():
                if isinstance(getattr(module, "dropout", None), float):  # rows of one sign may share tokens, so the
                    module.dropout = 0.0  # random masks of the two forms would differ
        terms, _ = Objective(peft_model, TrainConfig.from_dict(config.to_dict() | {"preserve_at": preserve_at}))(drawn)
        sum(terms.values()).backward()
        return float(terms["preservation"].detach()), peft_model

    negated, peft_model = preservation(1.0, "negated")
    assert negated == pytest.approx(preservation(-1.0, "acquired")[0], rel=1e-4)
    assert negated != pytest.approx(preservation(1.0, "acquired")[0], rel=1e-2), (
        "both signs agree, so this shows nothing"
    )
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for n, p in peft_model.named_parameters() if "lora_B" in n)


def test_a_layer_that_sees_only_some_of_the_tokens_is_refused(opt: VariantModel) -> None:
    """As an expert of a mixture: which row a token belongs to is lost there."""
    layer = opt.network.model.decoder.layers[0].fc1
    with opt.rows(ROWS) as network:
        network(input_ids=IDS.expand(4, -1))
        with pytest.raises(ValueError, match=r"gets an input \[8, 32\] in a batch of 4 rows of 12 tokens"):
            layer(torch.ones(8, 32))


def test_merging_by_peft_is_not_disturbed(opt: VariantModel, tmp_path: Path) -> None:
    plain = PeftModel.from_pretrained(build_network("opt"), tmp_path / "adapter").eval()
    with torch.no_grad():
        expected = plain(input_ids=IDS).logits
    assert isinstance(plain, nn.Module)
    assert torch.equal(logits(opt, [{"tau": 1.0}])[0], expected[0])
