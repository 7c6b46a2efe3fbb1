"""Write GGUF files for llama.cpp: a merged model, or a LoRA adapter.

A merged file copies metadata and tokenizer from a GGUF file of the base, because a transformers folder does not say
which of llama.cpp's tokenizers it needs. Knows no run and no variant.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import GGUFReader, GGUFType, GGUFValueType, GGUFWriter, Keys, LlamaFileType
from gguf.constants import GGML_QUANT_SIZES, GGML_QUANT_VERSION
from gguf.gguf_reader import ReaderTensor
from gguf.quants import dequantize, quantize
from safetensors.numpy import load_file

from sku.core.peft_folders import PEFT_WEIGHTS, read_peft_config
from sku.models.gguf_header import check_gguf_header
from sku.models.gguf_layout import Array, GgufLayout

NumberFormat = Literal["f32", "f16", "q8_0", "q4_1"]
DEFAULT_FORMAT: NumberFormat = "f16"
"""Half the size of f32. On the default base q8_0 keeps all of the vector of `sku@0.8`, q4_1 keeps 86 %."""

_FILE_TYPES = {
    "f32": (Type.F32, LlamaFileType.ALL_F32),
    "f16": (Type.F16, LlamaFileType.MOSTLY_F16),
    "q8_0": (Type.Q8_0, LlamaFileType.MOSTLY_Q8_0),
    "q4_1": (Type.Q4_1, LlamaFileType.MOSTLY_Q4_1),
}
_EMBEDDINGS = ("token_embd.weight", "output.weight")
_FINE_TYPES = (Type.F32, Type.F16, Type.BF16, Type.Q8_0)
_FINE_ERROR = 0.02
_COARSE_ERROR = 0.5
"""The largest relative distance between a tensor of the base and the same tensor in a GGUF file of it, for fine and for
other types. A wrong row order or another model is near 1.4."""
_REPLACED = (
    Keys.General.ARCHITECTURE,
    Keys.General.NAME,
    Keys.General.DESCRIPTION,
    Keys.General.FILE_TYPE,
    Keys.General.QUANTIZATION_VERSION,
)
"""Metadata of the base's file that the writer sets itself."""
_UNUSUAL = ("use_rslora", "rank_pattern", "alpha_pattern")
"""Settings of an adapter under which alpha / rank is not the scale of every layer."""


@dataclass(frozen=True)
class About:
    """What a GGUF file says about itself."""

    name: str
    description: str
    base: str
    """The name of the base model."""


class BaseFile:
    """A GGUF file of the base model, checked against the base itself."""

    def __init__(self, path: Path, network: Any, layout: GgufLayout) -> None:
        """Open the file.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is not a GGUF file, or is not of this base.
        """
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path}; --base-gguf needs a GGUF file of the base")
        try:
            check_gguf_header(path)
            self._reader = GGUFReader(path)
        except (ValueError, IndexError, KeyError, ArithmeticError) as error:
            raise ValueError(f"{path} is not a readable GGUF file ({error}); name a GGUF file of the base") from error
        self.path = path
        self._check(network, layout)

    @property
    def tensors(self) -> list[ReaderTensor]:
        """The tensors, in the file's order."""
        return list(self._reader.tensors)

    def copy_metadata(self, writer: GGUFWriter) -> None:
        """Copy everything that does not depend on the number format: the architecture's settings and the tokenizer."""
        writer.data_alignment = int(self._reader.alignment)
        for field in self._reader.fields.values():
            kind = field.types[0]
            value = field.contents()
            if field.name.startswith("GGUF.") or field.name in _REPLACED or value == []:
                continue
            writer.add_key_value(field.name, value, kind, field.types[-1] if kind == GGUFValueType.ARRAY else None)

    def _check(self, network: Any, layout: GgufLayout) -> None:
        field = self._reader.get_field(Keys.General.ARCHITECTURE)
        architecture = field.contents() if field else None
        if architecture != layout.architecture:
            raise ValueError(
                f"{self.path} has the architecture {architecture}, the base has {layout.architecture}; "
                "name a GGUF file of the base"
            )
        weights = named_weights(network, layout)
        tied = {"output.weight"} if network.config.tie_word_embeddings else set()
        missing = sorted(weights.keys() - {tensor.name for tensor in self.tensors} - tied)
        if missing:
            raise ValueError(
                f"{self.path} lacks {len(missing)} tensors of the base, such as {', '.join(missing[:3])}; "
                "name a GGUF file of the base that is one file"
            )
        for tensor in self.tensors:
            if tensor.name in weights:
                self._check_tensor(tensor, _values(weights[tensor.name], tensor.name, layout))

    def _check_tensor(self, tensor: ReaderTensor, wanted: Array) -> None:
        shape = tuple(int(n) for n in reversed(tensor.shape))
        if shape != wanted.shape:
            raise ValueError(
                f"{self.path} has {list(shape)} at {tensor.name}, the base has {list(wanted.shape)}; "
                "name a GGUF file of the base"
            )
        try:
            values = dequantize(tensor.data, tensor.tensor_type).reshape(shape)
        except (NotImplementedError, ValueError) as error:
            raise ValueError(
                f"{self.path} has {tensor.name} in a number format that cannot be read ({error}); name a GGUF file in "
                "another format"
            ) from error
        with np.errstate(all="ignore"):  # values that are no numbers make a distance that is none either
            distance = float(np.linalg.norm(values - wanted))
        limit = _FINE_ERROR if tensor.tensor_type in _FINE_TYPES else _COARSE_ERROR
        if not distance <= limit * float(np.linalg.norm(wanted)):  # NaN is refused too
            raise ValueError(
                f"{self.path} has other weights at {tensor.name} than the base; name a GGUF file of the base itself"
            )


def named_weights(network: Any, layout: GgufLayout) -> dict[str, Any]:
    """The torch weights of `network` under llama.cpp's names, in the row order of transformers."""
    return {layout.name(name): weight for name, weight in network.state_dict().items()}


def write_merged_gguf(
    network: Any, layout: GgufLayout, base: BaseFile, file: Path, number_format: NumberFormat, about: About
) -> None:
    """Write the weights of `network` with the metadata of the base's GGUF file.

    Tensors of the base's file that the network does not have, such as rotary factors, are copied.
    """
    weights = named_weights(network, layout)
    with _writer(file, layout.architecture) as writer:
        base.copy_metadata(writer)
        _describe(writer, about)
        writer.add_file_type(_FILE_TYPES[number_format][1])
        writer.add_quantization_version(GGML_QUANT_VERSION)
        kinds = {
            tensor.name: _tensor_type(tensor, number_format) if tensor.name in weights else tensor.tensor_type
            for tensor in base.tensors
        }
        for tensor in base.tensors:
            shape = tuple(int(n) for n in reversed(tensor.shape))
            size = _bytes(shape, kinds[tensor.name])
            writer.add_tensor_info(tensor.name, shape, np.dtype(np.float32), size, kinds[tensor.name])
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for tensor in base.tensors:  # one at a time, so that memory holds one copy of the model
            if tensor.name in weights:
                values = _values(weights[tensor.name], tensor.name, layout)
                writer.write_tensor_data(quantize(values, kinds[tensor.name]))
            else:
                writer.write_tensor_data(tensor.data)


def write_gguf_adapter(adapter: Path, layout: GgufLayout, file: Path, about: About) -> None:
    """Write a PEFT adapter as a LoRA adapter for llama.cpp, in f32.

    llama.cpp adds scale * (alpha / rank) B A to each weight, so at scale 1 the file is the PEFT adapter.

    Raises:
        ValueError: if the layers of the adapter differ in rank or scale.
    """
    config = read_peft_config(adapter)
    unusual = [name for name in _UNUSUAL if config.get(name)]
    if unusual:
        raise ValueError(f"the adapter uses {', '.join(unusual)}, which a GGUF adapter cannot hold; use --as gguf")
    factors = load_file(adapter / PEFT_WEIGHTS)
    with _writer(file, layout.architecture) as writer:
        writer.add_type(GGUFType.ADAPTER)
        writer.add_string(Keys.Adapter.TYPE, "lora")
        writer.add_float32(Keys.Adapter.LORA_ALPHA, float(config["lora_alpha"]))
        writer.add_file_type(LlamaFileType.ALL_F32)
        _describe(writer, about)
        for key in sorted(factors):
            module, _, factor = key.removeprefix("base_model.model.").partition(".lora_")
            name = layout.name(f"{module}.weight")
            values = factors[key].astype(np.float32)
            if factor.startswith("A"):
                writer.add_tensor(f"{name}.lora_a", values)
            else:
                writer.add_tensor(f"{name}.lora_b", np.ascontiguousarray(layout.rows(name, values)))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()


@contextlib.contextmanager
def _writer(file: Path, architecture: str) -> Iterator[GGUFWriter]:
    with contextlib.closing(GGUFWriter(file, architecture)) as writer:
        yield writer


def _describe(writer: GGUFWriter, about: About) -> None:
    writer.add_name(about.name)
    writer.add_description(about.description)
    writer.add_base_model_count(1)
    writer.add_base_model_name(0, about.base)


def _values(weight: Any, name: str, layout: GgufLayout) -> Array:
    values: Array = weight.detach().float().cpu().numpy()
    return layout.rows(name, values)


def _tensor_type(tensor: ReaderTensor, number_format: NumberFormat) -> Type:
    """The type of one tensor. llama.cpp wants vectors in f32, and its 4-bit files keep the embeddings finer."""
    if len(tensor.shape) == 1:
        return Type.F32
    kind = _FILE_TYPES[number_format][0]
    if kind == Type.Q4_1 and tensor.name in _EMBEDDINGS:
        kind = Type.Q8_0
    return kind if tensor.shape[0] % GGML_QUANT_SIZES[kind][0] == 0 else Type.F16


def _bytes(shape: tuple[int, ...], kind: Type) -> int:
    block, size = GGML_QUANT_SIZES[kind]
    return math.prod(shape) // int(block) * int(size)
