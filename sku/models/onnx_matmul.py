"""A product with a weight of 4 or 8 bits as an ONNX model of one node, written without the `onnx` package.

ONNX Runtime's `MatMulNBits` multiplies by codes in groups that share a scale. The code in the middle, 8 or 128, stands
for zero. Knows no network and imports neither torch nor onnxruntime.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

GROUP = 32
"""Weights that share a scale."""
_FLOAT, _UINT8, _INT_ATTRIBUTE = 1, 2, 2
_IR_VERSION, _OPSET, _CONTRIB_OPSET = 10, 21, 1


def matmul_model(codes: NDArray[np.uint8], scales: NDArray[np.float32], bits: int, accuracy_level: int) -> bytes:
    """The model from `x` `[R, inputs]` to `y` `[R, outputs]`, with y = x ((codes - zero) * scales)ᵀ.

    Args:
        codes: `[outputs, inputs]`, from 0 to 15 or 255.
        scales: `[outputs, inputs / GROUP]`.
        bits: 4 or 8.
        accuracy_level: 1: fp32 arithmetic; 4: the inputs are rounded to 8 bits in groups of `GROUP`.
    """
    outputs, inputs = codes.shape
    packed = codes if bits == 8 else codes[:, 0::2] | (codes[:, 1::2] << 4)
    weight = packed.reshape(outputs, inputs // GROUP, GROUP * bits // 8)
    settings = {"K": inputs, "N": outputs, "bits": bits, "block_size": GROUP, "accuracy_level": accuracy_level}
    node = [_text(1, name) for name in ("x", "weight", "scales")]
    node += [_text(2, "y"), _text(4, "MatMulNBits"), _text(7, "com.microsoft")]
    node += [
        _message(5, [_text(1, name), _number(3, value), _number(20, _INT_ATTRIBUTE)])
        for name, value in settings.items()
    ]
    graph = [
        _message(1, node),
        _text(2, "matmul"),
        _message(5, _tensor("weight", weight.shape, _UINT8, weight.tobytes())),
        _message(5, _tensor("scales", scales.shape, _FLOAT, scales.astype(np.float32).tobytes())),
        _message(11, _matrix("x", inputs)),
        _message(12, _matrix("y", outputs)),
    ]
    opsets = [_message(8, [_text(1, ""), _number(2, _OPSET)])]
    opsets += [_message(8, [_text(1, "com.microsoft"), _number(2, _CONTRIB_OPSET)])]
    return b"".join([_number(1, _IR_VERSION), *opsets, _message(7, graph)])


def _tensor(name: str, shape: Iterable[int], kind: int, data: bytes) -> list[bytes]:
    return [*(_number(1, size) for size in shape), _number(2, kind), _text(8, name), _bytes(9, data)]


def _matrix(name: str, columns: int) -> list[bytes]:
    """A matrix of fp32 with any number of rows."""
    shape = _message(2, [_message(1, [_text(2, "rows")]), _message(1, [_number(1, columns)])])
    return [_text(1, name), _message(2, [_message(1, [_number(1, _FLOAT), shape])])]


def _message(field: int, parts: Iterable[bytes]) -> bytes:
    return _bytes(field, b"".join(parts))


def _text(field: int, text: str) -> bytes:
    return _bytes(field, text.encode())


def _bytes(field: int, content: bytes) -> bytes:
    """A protobuf field with a length."""
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _varint(value: int) -> bytes:
    """Seven bits in a byte, the lowest first; the eighth bit says that more follow."""
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)
