"""Linear layers whose decoding steps read the weight in 4 bits, or in 8 where the base's file has 8 (its head).

A base that was made from a 4-bit file keeps its fp32 weights, and those lie exactly on the grid of that file. So the
codes are found again from the weights, and a weight that is not on a grid stays as it is. `arithmetic.py` describes the
two forms.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from sku.models.decode_linear import DecodeLinear, make_decode_linear
from sku.models.onnx_matmul import matmul_model
from sku.models.weight_rounding import GROUP_OF_GGUF, int4_asymmetric_codes, int8_symmetric_codes

Form = Literal["exact", "quick"]
_ACCURACY_LEVELS: dict[Form, int] = {"exact": 1, "quick": 4}
_ATTENTION_INPUTS = ("q_proj", "k_proj", "v_proj")
"""These and the first and last block are computed exactly in the quick form, too: a sixth of the weights. Simulated on
three recorded answers of the default base, KL from fp32 in nats a token (in brackets the largest of an answer), if so
many million weights are computed exactly:

    none                           0.0023 (0.0026)
    q, k, v                  16.6  0.0016 (0.0018)
    first and last block      7.1  0.0018 (0.0023)
    down                     26.5  0.0020 (0.0023)
    the head, in fp32        28.3  0.0019 (0.0021)
    head, first, last block  35.4  0.0012 (0.0015)
"""
_BLOCK_NUMBER = re.compile(r"\.(\d+)\.")


class FewBitWeight(NamedTuple):
    """A weight on a grid: (codes - zero) * scale, plus a shift for each group."""

    bits: int
    codes: Tensor
    """`[outputs, inputs]`, uint8; zero is in the middle, 8 or 128."""
    scales: Tensor
    """`[outputs, groups]`"""
    shifts: Tensor | None
    """`[outputs, groups]`; None: all 0."""


class FewBitLayers:
    """The layers of one network that can compute decoding steps with few bits; they do so inside `used` only."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self.count = 0
        self.in_use = False

    @contextmanager
    def used(self) -> Iterator[None]:
        """Inside the block, inputs of one token a row meet the few-bit weights. Hold the model's lock."""
        self.in_use = True
        try:
            yield
        finally:
            self.in_use = False


class FewBitProduct:
    """x Wᵀ for one weight, by ONNX Runtime."""

    def __init__(self, weight: Tensor, found: FewBitWeight, layers: FewBitLayers, form: Form) -> None:
        model = matmul_model(found.codes.numpy(), found.scales.numpy(), found.bits, _ACCURACY_LEVELS[form])
        self.form = form
        self._session = _session(model)
        self._shifts = None if found.shifts is None else found.shifts.T.contiguous()  # (groups, outputs)
        self._layers = layers
        self._made_from = (weight.data_ptr(), weight._version)

    def serves(self, x: Tensor, weight: Tensor) -> bool:
        """Whether `x` is a decoding step, and the weight is the one that the codes were made from.

        An attack that rounds or merges weights puts other values in place, and a GPU has them elsewhere.
        """
        step = x.ndim == 3 and x.shape[1] == 1
        return self._layers.in_use and step and self._made_from == (weight.data_ptr(), weight._version)

    def __call__(self, x: Tensor) -> Tensor:
        """`[R, 1, inputs]` to `[R, 1, outputs]`."""
        rows = x.detach().reshape(len(x), -1)
        product = torch.from_numpy(self._session.run(None, {"x": rows.numpy()})[0])
        if self._shifts is not None:
            product.addmm_(rows.view(len(x), -1, GROUP_OF_GGUF).sum(-1), self._shifts)
        return product[:, None]

    def __deepcopy__(self, _memo: dict[int, Any]) -> FewBitProduct:
        return self  # a copied layer has its weight elsewhere, so it is computed in fp32


class FewBitLinear(DecodeLinear):
    """A linear layer with a few-bit product for decoding steps."""

    product: FewBitProduct

    def forward(self, x: Tensor) -> Tensor:
        """`[..., inputs]` to `[..., outputs]`."""
        if not self.product.serves(x, self.weight):
            return super().forward(x)
        y = self.product(x)
        return y if self.bias is None else y + self.bias


@torch.no_grad()
def use_few_bits(network: Any, form: Form) -> FewBitLayers | None:
    """Prepare the linear layers of `network` whose weights lie on a grid; weights and names stay.

    Returns:
        The switch of these layers; None if there are none.
    """
    layers = FewBitLayers(form)
    for name, layer in list(network.named_modules()):
        if not isinstance(layer, nn.Linear) or type(layer) not in (nn.Linear, DecodeLinear):
            continue
        own = _form_of(name, form, network.config.num_hidden_layers)
        found = few_bit_weight(layer.weight, own) if _is_plain(layer.weight) else None
        if found is None:
            continue
        if type(layer) is nn.Linear:
            make_decode_linear(layer, linear, linear, linear)
        layer.__class__ = FewBitLinear
        layer.product = FewBitProduct(layer.weight, found, layers, own)  # type: ignore[assignment]  # mypy keeps the old class
        layers.count += 1
    return layers if layers.count else None


def _form_of(name: str, form: Form, blocks: int) -> Form:
    """The form of one layer. In the quick form, those whose rounded inputs would cost most KL are computed exactly."""
    number = _BLOCK_NUMBER.search(name)
    at_an_end = number is not None and int(number[1]) in (0, blocks - 1)
    return "exact" if at_an_end or name.endswith(_ATTENTION_INPUTS) else form


def few_bit_weight(weight: Tensor, form: Form) -> FewBitWeight | None:
    """The codes of a weight on the grid of Q4_1, or for `quick` of Q8_0; None if it is on neither."""
    if weight.ndim != 2 or weight.shape[1] % GROUP_OF_GGUF:
        return None
    four = int4_asymmetric_codes(weight)
    if torch.equal(four.values(), weight):
        return FewBitWeight(4, four.codes.to(torch.uint8).flatten(1), four.step, four.low + 8 * four.step)
    if form == "exact":  # ONNX Runtime's product of 8-bit weights in fp32 arithmetic takes twice fp32's time
        return None
    eight = int8_symmetric_codes(weight)
    if torch.equal(eight.values(), weight):
        return FewBitWeight(8, (eight.codes + 128).to(torch.uint8).flatten(1), eight.step, None)
    return None


def _is_plain(weight: Tensor) -> bool:
    return weight.dtype == torch.float32 and weight.device.type == "cpu"


def _session(model: bytes) -> Any:
    """A session of ONNX Runtime. All sessions share the process's pool of threads."""
    import onnxruntime

    _make_shared_pool()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.use_per_session_threads = False
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


@cache
def _make_shared_pool() -> None:
    """Make one pool with as many threads as PyTorch has now: one for each layer would start hundreds of threads.

    A process can have one such pool, and keeps its size.
    """
    import onnxruntime

    onnxruntime.set_global_thread_pool_sizes(torch.get_num_threads(), 1)
