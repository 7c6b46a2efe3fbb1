"""One copy of the base with its adapters, and rows of coefficients: row r of a batch runs with the weights

    theta_base + sum_i c[r, i] * tau_i,    tau_i = B A * alpha / rank   (LoRA adapter i)

A LoRA layer of PEFT multiplies its output by `scaling[name]`; a tensor `[rows, 1, 1]` there gives every row its own
coefficient. Between calls every scaling is 0, so the model is the base. Knows no text and no method.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from sku.core.runs import run_folder_of
from sku.models.arithmetic import Arithmetic
from sku.models.batching import token_positions
from sku.models.chat_template import ChatTemplate
from sku.models.checkpoint_files import (
    check_checkpoint,
    check_tokens_fit,
    load_checked_network,
    load_network,
    load_tokenizer,
)
from sku.models.decode_linear import use_decode_linear
from sku.models.few_bit_linear import FewBitLayers, use_few_bits
from sku.models.flattened_inputs import FlattenedInputs
from sku.models.gate import Gate, load_gate
from sku.models.matmul_choice import MatmulChoice
from sku.models.memory import memory_errors_as_sentences
from sku.models.precision import ROUNDED, keep_weights_packed
from sku.models.prefix_cache import PrefixCache
from sku.models.weights_hash import checkpoint_stamp, remembered_hash, weights_hash

if TYPE_CHECKING:  # PEFT takes a fifth of a start to import, and the base alone does not need it
    from peft import PeftModel
    from peft.tuners.lora import LoraLayer

SAMPLED_VALUES_PER_WEIGHT = 64
"""About how many values of each weight the fingerprint reads."""


class VariantModel:
    """A causal language model that runs any mix of its variants in one batch.

    Safe for several threads: a forward holds the lock, so one caller's coefficients never reach another's forward.
    """

    def __init__(
        self,
        network: Any,
        tokenizer: Any,
        matmul: MatmulChoice | None = None,
        few_bits: FewBitLayers | None = None,
        base_fingerprint: str | None = None,
        loaded_hash: str | None = None,
    ) -> None:
        """Take over a network.

        Args:
            network: a transformers model.
            tokenizer: its tokenizer.
            matmul: the matrix products for few rows that `network` uses.
            few_bits: the layers of `network` that compute decoding steps with few bits; None: there are none.
            base_fingerprint: that of the weights before they were rounded; None: they were not.
            loaded_hash: the hash of all weights of the base, if it is known (`weights_hash.py`).

        Raises:
            ValueError: if the tokenizer's chat template cannot be used.
        """
        self.network = network.eval()
        """The transformers model; adapters are injected into its layers."""
        self.tokenizer = tokenizer
        self.template = ChatTemplate.of(tokenizer, _generation_stops(network))
        self.fingerprint = base_fingerprint or fingerprint(network)
        self.loaded_hash = loaded_hash or weights_hash(network)
        """Hash of all weights of the base as they were loaded."""
        self.prefix_cache = PrefixCache()
        """Prefills batches; keeps the template's prefix for the variants used last."""
        self.matmul = matmul
        """The matrix products for few rows that were chosen for this machine; None: PyTorch's own."""
        self.few_bits = few_bits
        """The layers that compute decoding steps with few bits; None: all steps are in fp32."""
        self.gates: dict[str, Gate] = {}
        """The gates of the adapters that have one (`gate.py`)."""
        self.gate_values: dict[tuple[str, tuple[int, ...]], float] = {}
        """How far a gate is open for a prompt, by adapter and prompt; a cache."""
        self._peft: PeftModel | None = None
        self._unit: dict[str, dict[LoraLayer, float]] = {}
        self._active: list[str] = []
        self._lock = threading.Lock()
        self._open_blocks = 0
        """Blocks of `checked_once` that have not ended."""
        self._unchecked = ""
        """What was done since the base was checked; empty if nothing was."""
        self._flattened_inputs = FlattenedInputs(network)
        for parameter in network.parameters():
            parameter.requires_grad_(False)

    @property
    def adapters(self) -> tuple[str, ...]:
        """Names of the loaded adapters; rows may give them coefficients."""
        return tuple(self._unit)

    def unit_scale(self, name: str, layer: LoraLayer) -> float:
        """The factor of B A in `layer` at coefficient 1, alpha / rank for plain LoRA."""
        return self._unit[name][layer]

    @property
    def device(self) -> torch.device:
        """The device that inputs must be on."""
        device: torch.device = self.network.get_input_embeddings().weight.device
        return device

    @property
    def context(self) -> int:
        """How many tokens prompt and answer may have together."""
        return int(getattr(self.network.config, "max_position_embeddings", 0) or 2**31)

    def to(self, device: str) -> VariantModel:
        """Move base and adapters to `device`; returns itself."""
        with self._lock:
            self.prefix_cache.clear()
            self.gate_values.clear()
            self.network.to(device)
        return self

    def hold(self) -> Callable[[], None]:
        """Wait for the running forward, and block new ones until the returned function is called."""
        self._lock.acquire()
        freed = self.prefix_cache.hold()

        def free() -> None:
            freed()
            self._lock.release()

        return free

    def add(self, name: str, folder: Path) -> None:
        """Load the PEFT adapter in `folder` under `name`, at coefficient 0, and the gate of its run if there is one.

        Raises:
            ValueError: if the name is taken, or the adapter is not plain LoRA, cannot be read, or was trained on
                another base; or if the gate cannot be read.
            FileNotFoundError: if the folder holds no adapter.
        """
        from peft import PeftModel, set_peft_model_state_dict
        from peft.tuners.lora import LoraLayer

        from sku.models.adapter_check import read_plain_lora

        if name in self._unit:
            raise ValueError(f"adapter {name!r} is loaded already; remove it first or use another name")
        run_folder = run_folder_of(folder)
        gate = load_gate(run_folder) if run_folder else None
        with self._lock:
            lora = read_plain_lora(folder, self.network, self.fingerprint)
            if self._peft is None:
                self._peft = PeftModel(self.network, lora.config, adapter_name=name)
            else:
                self._peft.add_adapter(name, lora.config)
            set_peft_model_state_dict(self._peft, lora.tensors, adapter_name=name)
            layers = [m for m in self.network.modules() if isinstance(m, LoraLayer) and name in m.scaling]
            self._unit[name] = {layer: float(layer.scaling[name]) for layer in layers}
            for layer in layers:
                layer.scaling[name] = 0.0
                self._flattened_inputs.watch(layer)
            self.prefix_cache.clear()
            self._active = ["?"]  # loading made the new adapter active
            self.network.eval()
        if gate is not None:
            self.gates[name] = gate
        self._check_unless_open(f"loading adapter {folder}")

    def remove(self, name: str) -> None:
        """Unload an adapter.

        Raises:
            ValueError: if it is not loaded.
        """
        if name not in self._unit or self._peft is None:
            raise ValueError(f"adapter {name!r} is not loaded; loaded are {', '.join(self._unit) or 'none'}")
        with self._lock:
            self._activate([])  # if it were active, PEFT would warn and make another adapter trainable
            if len(self._unit) == 1:  # PEFT wants one adapter left, so unwrap instead
                self.network = self._peft.unload()
                self._peft = None
            else:
                self._peft.delete_adapter(name)
            del self._unit[name]
            self.gates.pop(name, None)
            self.gate_values.clear()
            self.prefix_cache.clear()
            self._active = ["?"]
        self._check_unless_open(f"removing adapter {name}")

    @contextmanager
    def checked_once(self) -> Iterator[None]:
        """Inside the block, `add` and `remove` do not check the base; it is checked once, when the block ends.

        The check reads all weights of the base, which takes longer than loading an adapter. Run nothing inside.

        Raises:
            RuntimeError: if a weight of the base has changed.
        """
        with self._lock:
            self._open_blocks += 1
        try:
            yield
        finally:
            with self._lock:
                self._open_blocks -= 1
            if self._unchecked:
                self._check_unless_open(self._unchecked)

    def _check_unless_open(self, after: str) -> None:
        self._unchecked = after
        if not self._open_blocks:
            self.check_base(after)
            self._unchecked = ""

    def check_base(self, after: str) -> None:
        """Check that every weight of the base is as it was loaded.

        Args:
            after: what was done before, for the error message.

        Raises:
            RuntimeError: if a weight has changed.
        """
        with self._lock:
            same = weights_hash(self.network) == self.loaded_hash
        if not same:
            raise RuntimeError(f"after {after} the base is not the one that was loaded; restart, and report this")

    @contextmanager
    def rows(self, coefficients: Sequence[Mapping[str, float]]) -> Iterator[Any]:
        """Inside the block, row r of a batch runs with signed `coefficients[r]`; on exit the model is the base.

        Yields:
            The network, which accepts only inputs `[len(coefficients), T]`.

        Raises:
            ValueError: if an adapter is not loaded, or a batch inside the block has another size.
            OutOfMemory: if there is not enough memory for the batch.
        """
        with self._lock:
            names = [name for name in self._unit if any(row.get(name) for row in coefficients)]
            unknown = sorted({name for row in coefficients for name in row} - set(self._unit))
            if unknown:
                raise ValueError(f"adapters {unknown} are not loaded; loaded are {', '.join(self._unit) or 'none'}")
            guard = self.network.get_input_embeddings().register_forward_pre_hook(_size_guard(len(coefficients)))
            try:
                self._activate(names)
                for name in names:
                    values = torch.tensor([[[row.get(name, 0.0)]] for row in coefficients], dtype=torch.float64)
                    placed = {}  # (layer scale, device, dtype) -> [rows, 1, 1]; layers of equal scale share a tensor
                    for layer, unit in self._unit[name].items():
                        weight = layer.lora_B[name].weight
                        key = (unit, weight.device, weight.dtype)
                        if key not in placed:
                            placed[key] = (values * unit).to(weight.device, weight.dtype)
                        layer.scaling[name] = placed[key]
                with memory_errors_as_sentences():
                    yield self.network
            finally:
                for name in names:
                    for layer in self._unit[name]:
                        layer.scaling[name] = 0.0
                guard.remove()

    @contextmanager
    def decoding_rows(self, coefficients: Sequence[Mapping[str, float]]) -> Iterator[Any]:
        """As `rows`, in the arithmetic of decoding steps (`arithmetic.py`)."""
        with self.rows(coefficients) as network, self.few_bits.used() if self.few_bits else nullcontext():
            yield network

    @torch.no_grad()
    def last_hidden_states(
        self, coefficients: Sequence[Mapping[str, float]], ids: Tensor, mask: Tensor, cache: DynamicCache | None
    ) -> Tensor:
        """Run the transformer without its output head.

        Args:
            coefficients: B rows of signed coefficients.
            ids: `[B, T]`.
            mask: `[B, P + T]`, 1 on real tokens of the cache and of `ids`.
            cache: holds P earlier tokens of each row and gets the new ones; None: there are none, keep none.

        Returns:
            Hidden states of the last layer, `[B, T, H]`.
        """
        with self.rows(coefficients) as network:
            out = network.base_model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=token_positions(mask, ids.shape[1]),
                cache=cache,
                use_cache=cache is not None,
            )
        hidden: Tensor = out.last_hidden_state
        return hidden

    def _activate(self, names: list[str]) -> None:
        """Compute only the adapters in `names`: one that no row uses would cost time to add zeros."""
        if names == self._active:
            return
        for layer in {layer: None for layers in self._unit.values() for layer in layers}:
            layer.set_adapter(names, inference_mode=True)
        self._active = names


def load_variant_model(
    folder: str | Path, dtype: str = "float32", device: str | None = None, arithmetic: Arithmetic = "fp32"
) -> VariantModel:
    """Load the transformers checkpoint in `folder`.

    Args:
        folder: holds the checkpoint.
        dtype: a precision of `precision.py`.
        device: where it goes; None: to the accelerator if there is one. If `SKU_DEVICE_MAP` is set, such as to `auto`,
            accelerate spreads the layers over all devices instead.
        arithmetic: of decoding steps; other than fp32 only if the base is on a 4-bit grid and on a processor.

    Raises:
        OSError: if the folder holds no checkpoint, or there is not enough memory.
        ValueError: if a file of it is damaged, or `SKU_MATMUL` names no matrix product.
    """
    device_map = os.environ.get("SKU_DEVICE_MAP", "").strip() or None
    place = device or (torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu")
    if dtype in ROUNDED:  # adapters know the base by its weights before rounding
        unrounded = fingerprint(load_network(folder, "bfloat16"))
        network = load_network(folder, dtype, device_map or {"": place})
        keep_weights_packed(network)
        return VariantModel(network, load_tokenizer(folder), base_fingerprint=unrounded)
    stamp = checkpoint_stamp(Path(folder), dtype)  # before loading: files that change meanwhile get another stamp
    check_checkpoint(Path(folder))
    tokenizer = load_tokenizer(folder)  # first: it is small, and the network may take minutes
    network = load_checked_network(folder, dtype, device_map)
    check_tokens_fit(folder, network, tokenizer)
    with memory_errors_as_sentences():
        if device_map is None:
            network = network.to(place)
        matmul = use_decode_linear(network)
        few_bits = None if arithmetic == "fp32" else use_few_bits(network, arithmetic)
        return VariantModel(network, tokenizer, matmul, few_bits, loaded_hash=remembered_hash(stamp, network))


@torch.no_grad()
def fingerprint(network: Any) -> str:
    """16 hex digits that identify a base: a hash of the names, shapes and sampled values of all weights.

    Values are rounded to bfloat16, so a base has the same fingerprint in every precision.
    """
    state = hashlib.sha256()
    for name, weight in sorted(network.state_dict().items()):
        if "lora_" in name or not weight.is_floating_point():
            continue
        flat = weight.reshape(-1)
        sample = flat[:: max(1, len(flat) // SAMPLED_VALUES_PER_WEIGHT)].to("cpu", torch.bfloat16).view(torch.int16)
        state.update(f"{name.replace('.base_layer', '')} {tuple(weight.shape)}".encode() + sample.numpy().tobytes())
    return state.hexdigest()[:16]


def _generation_stops(network: Any) -> tuple[int, ...]:
    stops = network.generation_config.eos_token_id if network.generation_config is not None else None
    if stops is None:
        return ()
    return tuple(stops) if isinstance(stops, list) else (stops,)


def _size_guard(rows: int) -> Any:
    def check(_module: Any, inputs: tuple[Tensor, ...]) -> None:
        if len(inputs[0]) != rows:  # [rows, 1, 1] would silently broadcast a batch of one
            raise ValueError(f"a batch of {len(inputs[0])} rows came in a block set for {rows}; give one row each")

    return check
