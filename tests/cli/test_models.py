"""`models` lists bases, presets and what this machine computes with."""

from __future__ import annotations

import json
from typing import Any

import pytest


def test_models_lists_bases_and_presets(sku: Any) -> None:
    code, out, _ = sku("models")
    assert code == 0
    for word in ("smollm2-135m", "Apache-2.0", "facebook/opt-2.7b", "quick", "llama2-13b"):
        assert word in out
    rows = [json.loads(line) for line in sku("models", "--json")[1].splitlines()]
    assert {"model", "parameters", "serve_gb", "train_gb", "licence", "here", "presets"} <= set(rows[0])


def test_models_shows_which_matrix_products_this_machine_uses(sku: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from sku.models.matmul_choice import FastestMatmuls, MatmulKey, choose_matmuls, processor_name, torch_version

    def shown() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(sku("models", "--json")[1].splitlines()[-1])["matmul"]
        return found

    monkeypatch.delenv("SKU_MATMUL", raising=False)
    assert shown()["origin"] == "not measured yet"
    assert "not measured yet" in sku("models")[1]
    here = MatmulKey(processor_name(), torch_version(), 2, "0123")
    choose_matmuls(here, lambda: FastestMatmuls("transposed", "blocks"))
    (entry,) = shown()["remembered"]
    assert entry["matmuls"] == {"up_to_3_rows": "transposed", "up_to_14_rows": "blocks"}
    assert "threads 2, weight shapes 0123: transposed up to 3 rows, blocks up to 14" in sku("models")[1]
    monkeypatch.setenv("SKU_MATMUL", "linear")
    assert (shown()["origin"], shown()["forced"]) == ("forced", "linear")
    assert "forced to linear" in sku("models")[1]
    monkeypatch.setenv("SKU_MATMUL", "quick")
    code, _, err = sku("models")
    assert (code, err.strip()) == (1, "error: SKU_MATMUL is 'quick'; set it to linear, transposed, blocks, or unset it")


def test_models_shows_in_which_arithmetic_answers_are_written(sku: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = json.loads(sku("models", "--json")[1].splitlines()[-2])["arithmetic"]
    assert (found["page"], found["commands"], found["forced"]) == ("fp32", "fp32", None)
    assert "fp32 on the page, fp32 in commands (onnxruntime " in sku("models")[1]
    monkeypatch.setenv("SKU_ARITHMETIC", "quick")
    assert "quick on the page, quick in commands" in sku("models")[1]
