"""`models` lists bases, presets and what this machine computes with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sku.core import compute_threads


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
    here = MatmulKey(processor_name(), torch_version(), 2, "0123", (3, 256))
    choose_matmuls(here, lambda: FastestMatmuls("transposed", "blocks", "onednn"))
    (entry,) = shown()["remembered"]
    assert entry["matmuls"] == {"up_to_3_rows": "transposed", "up_to_14_rows": "blocks", "more_rows": "onednn"}
    assert (
        "threads 2, weight shapes 0123: transposed up to 3 rows, blocks up to 14, onednn for more" in sku("models")[1]
    )
    monkeypatch.setenv("SKU_MATMUL", "linear")
    assert (shown()["origin"], shown()["forced"]) == ("forced", "linear")
    assert "forced to linear" in sku("models")[1]
    monkeypatch.setenv("SKU_MATMUL", "quick")
    code, _, err = sku("models")
    names = "linear, transposed, blocks, onednn"
    assert (code, err.strip()) == (1, f"error: SKU_MATMUL is 'quick'; set it to {names}, or unset it")


def test_threads_are_told_with_how_they_wait(sku: Any) -> None:
    def told() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(sku("models", "--json")[1].splitlines()[-3])["threads"]
        return found

    assert told()["page"] is None
    compute_threads.remember_choice(compute_threads.ThreadChoice(1, 2, {1: 0.03, 2: 0.2}))
    assert told()["page"]["threads"] == 1
    assert told()["waiting"] == "passive"


def test_models_tells_what_a_base_needs_before_a_download(
    sku: Any, pico_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sku.models import base_cost

    monkeypatch.setattr(base_cost, "read_speed", lambda: 1e10)
    monkeypatch.setattr(base_cost, "product_speed", lambda: 1e12)
    code, out, _ = sku("models", "meta-llama/Llama-2-7b-hf")
    assert code == 0
    for word in (
        "6738 M parameters",
        "float32   serve  30.1 GB",
        "4bit      serve   4.7 GB",
        "download: 13.5 GB",
        "18 min",
    ):
        assert word in out
    assert "preset llama2-7b: about" in out
    told = json.loads(sku("models", pico_folder, "--json")[1])
    assert (told["download_gb"], told["preset_hours"]) == (0.0, {})
    code, _, err = sku("models", "nobody/nothing")
    assert (code, len(err.splitlines())) == (1, 1)
    assert "the hub says nothing of it" in err


def test_models_lists_the_servers_without_their_keys(sku: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKU_SERVERS", "mine=http://127.0.0.1:9/v1#toy")
    monkeypatch.setenv("SKU_KEY_MINE", "sesame")
    rows = [json.loads(line) for line in sku("models", "--json")[1].splitlines()]
    assert {"server": "server:mine", "url": "http://127.0.0.1:9/v1", "model": "toy", "key": True} in rows
    assert "server:mine: toy" in sku("models")[1]


def test_models_shows_in_which_arithmetic_answers_are_written(sku: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = json.loads(sku("models", "--json")[1].splitlines()[-2])["arithmetic"]
    assert (found["page"], found["commands"], found["forced"]) == ("fp32", "fp32", None)
    assert "fp32 on the page, fp32 in commands (onnxruntime " in sku("models")[1]
    monkeypatch.setenv("SKU_ARITHMETIC", "quick")
    assert "quick on the page, quick in commands" in sku("models")[1]
