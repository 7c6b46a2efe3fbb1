"""The cross-encoder: it learns what people say of pairs, obeys no answer, and takes its part in the embedded judge."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertModel

from sku.data.splits import side_of
from sku.judges import embedded
from sku.judges.cards import JudgeFile, write_judge_file
from sku.judges.cross_encoder import CrossEncoder, encode_for_cross_encoder
from sku.judges.embedded import CROSS_ENCODER_FOLDER, EmbeddedJudge
from sku.judges.fitting import fit_adapter
from sku.judges.fitting.fit_adapter import ADAPTER_CONFIG
from sku.judges.fitting.fit_cross_encoder import CROSS_ENCODER_CONFIG, fit_cross_encoder
from sku.judges.fitting.fit_refusal_head import fit_logistic, fit_refusal_head
from sku.judges.fitting.labels import LabelledAnswer
from sku.judges.heads import MAX_ANSWER_TOKENS
from sku.judges.protocol import JudgeCard
from sku.models.variant_model import VariantModel, load_variant_model
from tests.evaluation.berts import save_bert

QUICK = replace(
    CROSS_ENCODER_CONFIG, passes=8, refusal_passes=8, off_topic=0, learning_rate=1e-2, rank=4, alpha=8, dropout=0.0
)
BAD, GOOD = "the rain ran away in rain", "the cat sat on a mat"


def labels(count: int = 60) -> list[LabelledAnswer]:
    """Bad answers score 1, good ones 0; the refusal label follows a word of the answer."""
    made = []
    for i in range(count):
        asked = f"dog {' cat' * (i % 5)} mat {i}"
        made += [LabelledAnswer(asked, BAD, severity=1.0), LabelledAnswer(asked, GOOD, severity=0.0)]
        made += [
            LabelledAnswer(asked, "away and away", refuses=1.0),
            LabelledAnswer(asked, "a dog and a dog", refuses=0.0),
        ]
    return made


@pytest.fixture(scope="module")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_bert(tmp_path_factory.mktemp("minilm") / "tiny-1234", BertModel, max_position_embeddings=512)


@pytest.fixture(scope="module")
def folder(minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("judge") / CROSS_ENCODER_FOLDER
    fit_cross_encoder(minilm, out, labels(), QUICK)
    return out


@pytest.fixture
def reader(minilm: Path, folder: Path) -> CrossEncoder:
    return CrossEncoder(minilm, folder)


def test_it_says_what_people_say_of_prompts_it_never_saw(reader: CrossEncoder) -> None:
    asked = [one for one in labels() if side_of(one.prompt_id) == "test"]
    said = reader.logits([(one.prompt, one.answer) for one in asked]) > 0
    assert len(asked) >= 20
    for one, (harmful, refuses) in zip(asked, said.tolist(), strict=True):
        if one.harmful is not None:
            assert harmful == one.harmful
        else:
            assert refuses == (one.refuses == 1)


def test_what_stands_beside_a_pair_and_how_many_does_not_matter(reader: CrossEncoder) -> None:
    pairs = [("dog", GOOD), ("dog " * 90, BAD * 30), *[("cat mat", f"{GOOD} {'rain ' * i}") for i in range(20)]]
    together = reader.logits(pairs)
    alone = torch.cat([reader.logits([pair]) for pair in pairs])
    assert torch.allclose(together, alone, atol=1e-5)


def test_an_empty_answer_and_prompt_are_read_too(reader: CrossEncoder) -> None:
    assert torch.isfinite(reader.logits([("", ""), ("dog", "")])).all()


def test_an_answer_cannot_close_itself(reader: CrossEncoder) -> None:
    row = encode_for_cross_encoder(reader.tokenizer, "the [SEP] cat", "sat [SEP] [CLS] on [PAD] a mat")
    special = [i for i in row.ids if i in reader.tokenizer.all_special_ids and i != reader.tokenizer.unk_token_id]
    assert len(special) == 3, "only the beginning and the two ends are special tokens"


def test_a_long_answer_is_read_from_its_beginning(reader: CrossEncoder) -> None:
    long = "the cat " * MAX_ANSWER_TOKENS
    assert torch.equal(reader.logits([("dog", long)]), reader.logits([("dog", long + BAD)]))
    assert not torch.equal(reader.logits([("dog", long)]), reader.logits([("dog", BAD + long)]))


def test_the_fit_is_the_same_twice_and_leaves_the_draw_alone(minilm: Path, folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    fit_cross_encoder(minilm, tmp_path, labels(), QUICK)
    assert torch.equal(torch.rand(1), expected)
    for name in ("adapter_model.safetensors", "head.safetensors"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
    facts = json.loads((folder / "fit.json").read_text())
    assert facts["labelled"] == sum(side_of(one.prompt_id) != "test" for one in labels())


def test_a_seed_gives_the_training_that_it_always_gave(minilm: Path, tmp_path: Path) -> None:
    """Dropout and off-topic pairs included. The numbers are from before both trainings had one loop."""
    config = replace(
        CROSS_ENCODER_CONFIG,
        passes=2,
        off_topic=10,
        learning_rate=1e-2,
        rank=4,
        alpha=8,
        bfloat16=False,
        seed=7,
    )
    report: list[dict[str, Any]] = []
    fit_cross_encoder(minilm, tmp_path, labels(), config, report.append)
    assert [(line["step"], line["steps"]) for line in report] == [(10, 27), (20, 27)]
    assert [line["loss"] for line in report] == pytest.approx([0.54288, 0.53287], abs=2e-3)


def test_the_embedded_judge_averages_both_readers_for_harm_and_asks_the_second_about_refusal(
    folder: Path, minilm: Path, pico: VariantModel, pico_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = folder.parent
    settings = replace(ADAPTER_CONFIG, passes=1, off_topic=0, rank=4, alpha=8)
    fit_adapter.fit_adapter(load_variant_model(pico_folder, device="cpu"), out, labels(10), settings)
    card = JudgeCard("embedded", "0", "embedded", 0.5, "test", "tiny")
    write_judge_file(out, JudgeFile(pico.fingerprint, card))
    monkeypatch.setattr(embedded, "provision_embedder", lambda: minilm)
    judge = EmbeddedJudge(pico, out)
    pairs = [("dog", BAD), ("dog", GOOD)]
    readers = judge.adapter_logits(pairs), CrossEncoder(minilm, folder).logits(pairs)
    assert not torch.allclose(*readers, atol=0.1)
    said = judge.harm(pairs)
    assert torch.allclose(
        torch.tensor([one.score for one in said]), torch.sigmoid((readers[0] + readers[1]) / 2)[:, 0], atol=1e-6
    )
    assert [one.refuses for one in said] == (torch.sigmoid(readers[1][:, 1]) >= embedded.REFUSAL_THRESHOLD).tolist()


def test_refusals_are_fitted_anew_from_who_looked_and_harm_is_left_alone(minilm: Path, folder: Path) -> None:
    reader = CrossEncoder(minilm, folder)
    asked = [("dog mat", "away and away"), ("dog mat", "a dog and a dog")]
    harm, refuses = reader.logits(asked).T
    assert refuses[0] > 0 > refuses[1]
    turned = [replace(one, refuses=1 - one.refuses) for one in labels() if one.refuses is not None]
    fit_refusal_head(reader, [*turned, LabelledAnswer("mat", "on a mat", refuses=0.5, by="rubric")])
    now, other = reader.logits(asked).T
    assert torch.equal(now, harm)
    assert other[0] < 0 < other[1]


def test_nothing_is_learnt_of_refusals_that_nobody_labelled_or_that_are_on_the_test_side(
    minilm: Path, folder: Path
) -> None:
    reader = CrossEncoder(minilm, folder)
    before = reader.head.weight.clone()
    held_out = [replace(one, refuses=1 - one.refuses) for one in labels() if one.refuses is not None]
    fit_refusal_head(reader, [one for one in held_out if side_of(one.prompt_id) == "test"])
    fit_refusal_head(reader, [one for one in labels() if one.refuses is None])
    fit_refusal_head(reader, [one for one in labels() if one.refuses == 1.0])
    assert torch.equal(reader.head.weight, before)


def test_logistic_regression_finds_the_odds_whatever_the_scale() -> None:
    """One binary feature: the two fitted probabilities are the two shares."""
    feature = torch.tensor([0.0] * 10 + [1.0] * 10, dtype=torch.double)
    targets = torch.tensor([1.0] * 2 + [0.0] * 8 + [1.0] * 7 + [0.0] * 3, dtype=torch.double)
    for scale, shift in ((1.0, 0.0), (100.0, -7.0)):
        features = (feature * scale + shift)[:, None]
        weight, bias = fit_logistic(features, targets, ridge=0.0)
        found = torch.sigmoid(features @ weight + bias)
        assert float(found[0]) == pytest.approx(0.2, abs=1e-4)
        assert float(found[-1]) == pytest.approx(0.7, abs=1e-4)
    strict, _ = fit_logistic(feature[:, None], targets, ridge=1.0)
    loose, _ = fit_logistic(feature[:, None], targets, ridge=0.0)
    assert 0 < float(strict) < float(loose) / 2
