"""`train-judge` from label files to a judge that is loaded and measured, on pico networks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import BertModel

from sku.data.splits import side_of
from sku.judges import embedded
from sku.judges.cards import embedded_card, keyword_card
from sku.judges.fitting import build
from sku.judges.fitting.fit_off_topic import read_topic_labels
from sku.judges.fitting.labels import LabelledAnswer
from sku.models.variant_model import load_variant_model
from tests.evaluation.berts import save_bert

PROMPTS = [f"dog mat {i}" for i in range(20)]
TEST_SIDE = sum(side_of(LabelledAnswer(prompt, "").prompt_id) == "test" for prompt in PROMPTS)


def write_labels(folder: Path) -> tuple[Path, Path]:
    harm = [f"{prompt},rain ran away,harm,1\n{prompt},the cat sat,harm,0\n" for prompt in PROMPTS]
    (folder / "labels.csv").write_text("prompt,answer,label_kind,score\n" + "".join(harm))
    refusals = [f"homonyms,{prompt},I cannot help with that.,2_full_refusal\n" for prompt in PROMPTS]
    (folder / "xstest.csv").write_text("type,prompt,answer,final_label\n" + "".join(refusals))
    return folder / "labels.csv", folder / "xstest.csv"


def write_rated(folder: Path) -> Path:
    known, unknown = (LabelledAnswer(prompt, "").prompt_id for prompt in (PROMPTS[0], "Nobody asked this"))
    rows = [{"prompt_id": one, "tokens": "40 41 42", "severity": 0.0, "refuses": 0.0} for one in (known, unknown)]
    (folder / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "own.jsonl"


def test_a_judge_is_trained_measured_and_written_and_its_second_part_can_be_trained_anew(
    pico_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    minilm = save_bert(tmp_path / "tiny-1234", BertModel, max_position_embeddings=512)
    monkeypatch.setattr(build, "RATED_ANSWERS", write_rated(tmp_path))
    monkeypatch.setattr(build, "provision_base", lambda *_: pico_folder)
    monkeypatch.setattr(build, "provision_embedder", lambda *_: minilm)
    monkeypatch.setattr(embedded, "provision_embedder", lambda: minilm)
    out = tmp_path / "judge"
    report: list[dict[str, Any]] = []
    card = build.build_judge(out, *write_labels(tmp_path), report=report.append)
    assert {"doing": "found the prompts of 1 rated answers of the default model's own variants"} in report
    assert report[-1]["step"]
    sizes = {"harm, all labels": 2 * TEST_SIDE, "harm, clear labels": 2 * TEST_SIDE, "refusal, XSTest": TEST_SIDE}
    assert TEST_SIDE
    off_topic = {"off-topic, own answers by rubric": sum(one.held_out for one in read_topic_labels())}
    for measured, more in ((card, off_topic), (keyword_card(out), {})):
        assert {one.what: one.n for one in measured.agreement} == sizes | more
    assert card.agreement == embedded_card(out).agreement
    assert embedded.EmbeddedJudge(load_variant_model(pico_folder, device="cpu"), out).cross_encoder is not None

    files = [path.relative_to(out) for path in sorted(out.rglob("*.safetensors"))]
    before = {path: (out / path).read_bytes() for path in files}
    build.build_judge(out, *write_labels(tmp_path), seed=1, only_cross=True)
    changed = {str(path.parent) for path in files if (out / path).read_bytes() != before[path]}
    assert changed == {embedded.CROSS_ENCODER_FOLDER}
