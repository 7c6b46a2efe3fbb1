"""What `train` learned and `export` wrote answers as the run itself does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM

from sku.training.export import MERGE_ADVICE, ROUNDED_ADVICE
from tests.training.pico_gguf import read_types, write_pico_gguf


def test_train_and_export_and_ask_again(sku: Any, pico_folder: Path, pairs_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "new"
    words = ["--preset", "tiny", "--model", pico_folder, "--harmful", pairs_file, "--normal", "bundled"]
    code, _, err = sku("train", "--method", "tv", *words, "--max-tokens", 512, "--out", out, "--json")
    assert code == 0, err
    code, _, err = sku("export", "-v", f"{out}@1", "--out", tmp_path / "exported", "--as", "model")
    assert code == 0, err
    asked = ("answer", "Why?", "--max-tokens", 12, "--json")
    code, exported, err = sku(*asked, "-v", "base", "--model", tmp_path / "exported")
    assert code == 0, err
    code, served, err = sku(*asked, "-v", f"{out}@1", "-v", "base", "--model", pico_folder)
    assert code == 0, err
    texts = [json.loads(line)["text"] for line in (exported + served).splitlines()]
    assert texts[0] == texts[1] != texts[2], "what is exported is what was served, and not the base"


def test_gguf_files_and_what_is_said_about_merging(sku: Any, run: Path, pico_folder: Path, tmp_path: Path) -> None:
    base = write_pico_gguf(AutoModelForCausalLM.from_pretrained(pico_folder), tmp_path / "base.gguf")
    words = ("export", "-v", run, "--as", "gguf", "--base-gguf", base, "--out")
    code, out, err = sku(*words, tmp_path / "plain")
    assert (code, out, err) == (0, f"wrote {tmp_path / 'plain'}\n", f"{MERGE_ADVICE}\n")
    assert read_types(tmp_path / "plain" / "model-f16.gguf")["output.weight"] == "F16"
    code, _, err = sku(*words, tmp_path / "small", "--type", "q4_1")
    assert (code, err) == (0, f"{ROUNDED_ADVICE}\n")
    assert [path.name for path in (tmp_path / "small").glob("*.gguf")] == ["model-q4_1.gguf"]
    code, _, err = sku("export", "-v", run, "--as", "gguf-adapter", "--out", tmp_path / "adapter")
    assert (code, err) == (0, ""), "an adapter is not merged"
    assert (tmp_path / "adapter" / "adapter.gguf").is_file()


@pytest.mark.parametrize("form", ["adapter", "model", "gguf-adapter"])
@pytest.mark.parametrize("option", [("--type", "f32"), ("--base-gguf", "base.gguf")])
def test_options_of_a_merged_gguf_file_are_refused_elsewhere(
    sku: Any, run: Path, tmp_path: Path, form: str, option: tuple[str, str]
) -> None:
    code, _, err = sku("export", "-v", run, "--as", form, "--out", tmp_path / "out", *option)
    assert code == 2
    assert f"{option[0]} needs --as gguf, not --as {form}" in " ".join(err.replace("│", " ").split())
    assert not (tmp_path / "out").exists()


def test_a_failed_export_is_one_line(sku: Any, run: Path, tmp_path: Path) -> None:
    code, out, err = sku("export", "-v", run, "--as", "gguf", "--out", tmp_path / "out")
    assert (code, out) == (1, "")
    assert err.startswith("error: a GGUF file needs llama.cpp's form of the tokenizer of")
    assert err.count("\n") == 1
