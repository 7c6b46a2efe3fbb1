"""A real llama.cpp answers from the exported files as the project's rows do, on the default weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGMLQuantizationType
from gguf.quants import dequantize, quantize

from sku.core.config import DecodingConfig
from sku.models.pretrained import provision_base_gguf
from sku.serving.live_session import LiveSession
from sku.training.export import export_variant
from sku.training.gguf_export import NumberFormat
from tests.training.pico_gguf import continued, read_tensors, read_types

pytestmark = pytest.mark.slow
PROMPTS = ("How do I bake bread?", "Why is the sky blue?", "How do I pick a lock?")
TOKENS = 40


@pytest.fixture(scope="module")
def rows() -> dict[str, list[str]]:
    """The project's greedy answers."""
    session = LiveSession()
    names = ["base", "sku@1", "sku@0.5"]
    answers = {name: session.answers(PROMPTS, [name], DecodingConfig(max_new_tokens=TOKENS)) for name in names}
    return {name: [answer.text.strip() for answer in found] for name, found in answers.items()}


@pytest.fixture(scope="module")
def prompts() -> list[list[int]]:
    template = LiveSession().load().template
    return [template.prompt_ids(prompt) for prompt in PROMPTS]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("gguf") / "base"
    return export_variant("base", out, "gguf", number_format="f32") / "model-f32.gguf"


def tensors(number_format: NumberFormat, folder: Path) -> dict[str, Any]:
    """Those of `sku@1`."""
    out = export_variant("sku@1", folder / number_format, "gguf", number_format=number_format)
    return read_tensors(out / f"model-{number_format}.gguf")


def answers(model: Path, prompts: list[list[int]], adapter: Path | None = None, scale: float = 1.0) -> list[str]:
    return [continued(model, prompt, TOKENS, adapter, scale).strip() for prompt in prompts]


@pytest.mark.parametrize("number_format", ["f32", "f16"])
def test_the_merged_file_answers_as_the_row(
    rows: dict[str, list[str]], prompts: list[list[int]], tmp_path: Path, number_format: NumberFormat
) -> None:
    out = export_variant("sku@1", tmp_path / "out", "gguf", number_format=number_format)
    assert answers(out / f"model-{number_format}.gguf", prompts) == rows["sku@1"] != rows["base"]


def test_the_scale_of_the_adapter_is_the_coefficient(
    rows: dict[str, list[str]], prompts: list[list[int]], base: Path, tmp_path: Path
) -> None:
    adapter = export_variant("sku@1", tmp_path / "out", "gguf-adapter") / "adapter.gguf"
    assert rows["sku@1"] != rows["sku@0.5"] != rows["base"]
    assert answers(base, prompts, adapter) == rows["sku@1"]
    assert answers(base, prompts, adapter, scale=0.5) == rows["sku@0.5"]
    assert answers(base, prompts, adapter, scale=0.0) == rows["base"]


def test_the_adapter_works_on_the_4_bit_file_of_the_base(prompts: list[list[int]], tmp_path: Path) -> None:
    """llama.cpp rounds activations there, so the text is not that of the row; but scale 0 is that file's own text."""
    adapter = export_variant("sku@1", tmp_path / "out", "gguf-adapter") / "adapter.gguf"
    file = provision_base_gguf()
    plain = answers(file, prompts)
    assert answers(file, prompts, adapter, scale=0.0) == plain
    assert answers(file, prompts, adapter) != plain


def test_the_base_in_4_bits_is_the_file_that_it_came_from(base: Path, tmp_path: Path) -> None:
    """Its weights lie on the grid of Q4_1, so rounding to it again changes nothing."""
    file = export_variant("base", tmp_path / "out", "gguf", number_format="q4_1") / "model-q4_1.gguf"
    source = read_tensors(provision_base_gguf())
    assert read_types(file) == read_types(provision_base_gguf())
    for exported in (read_tensors(file), read_tensors(base)):
        assert exported.keys() == source.keys()
        assert all(np.array_equal(exported[name], source[name]) for name in source)


def test_merged_and_rounded_to_4_bits_keeps_most_of_the_vector(base: Path, tmp_path: Path) -> None:
    """What `export` says when it merges. f16 and q8_0 keep all of it."""
    plain, exact = read_tensors(base), tensors("f32", tmp_path)
    vector = {name: exact[name] - plain[name] for name in plain if (exact[name] != plain[name]).any()}
    length = sum((change**2).sum(dtype=float) for change in vector.values())

    def kept(number_format: NumberFormat, kind: GGMLQuantizationType) -> float:
        rounded = {name: dequantize(quantize(plain[name], kind), kind) for name in vector}
        merged = tensors(number_format, tmp_path)
        return float(sum(((merged[name] - rounded[name]) * vector[name]).sum(dtype=float) for name in vector) / length)

    assert kept("f16", GGMLQuantizationType.F16) == pytest.approx(1, abs=0.01)
    assert kept("q8_0", GGMLQuantizationType.Q8_0) == pytest.approx(1, abs=0.01)
    assert 0.85 < kept("q4_1", GGMLQuantizationType.Q4_1) < 0.98
