"""Fix the LoRA factors A to the directions in which inputs on harmful prompts differ most from inputs on normal ones.

For the input x of an adapted layer let C_h = E[x x'] over harmful answers and refusals of harmful prompts, and C_n the
same over normal answers. The rows of A are the generalised eigenvectors of (C_h, C_n + r I) with the largest ratio
a' C_h a / a' C_n a, scaled so that E_h[(a x)^2] = 1. Then B can change much on harmful prompts and little elsewhere.
Ours; ReGLU (arXiv:2604.17396) starts A from a contrast of covariances and trains it (`contrasted_inputs`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from sku.core.config import TrainConfig
from sku.core.records import PromptPair
from sku.models.batching import Batch, EncodedPair, collate, encode_answer
from sku.training.term_batches import TermBatches

CONTRASTED_PAIRS, RETAIN_WEIGHT = 256, 0.5
"""Answers of each kind, and the weight of C_n, in ReGLU's start of A."""
RIDGE = 0.01
"""r, as a share of the mean of C_n's diagonal."""
ROWS_PER_FORWARD = 16


@dataclass(frozen=True)
class WatchedRow:
    """A row of tokens, and the first token whose inputs are looked at; those behind it are looked at too."""

    encoded: EncodedPair
    first: int


def contrastive_directions(peft_model: Any, batches: TermBatches, config: TrainConfig) -> None:
    """Set A of every adapted layer; B must still be 0. A `Preparation` (`training/lora.py`).

    Raises:
        ValueError: if the rank is larger than the number of inputs of an adapted layer.
    """
    layers = _adapted_layers(peft_model, config)
    harmful, normal = watched_rows(batches, config)
    c_harmful, c_normal = second_moments(peft_model, layers, harmful), second_moments(peft_model, layers, normal)
    found: dict[int, Tensor] = {}
    for layer, h, n in zip(layers, c_harmful, c_normal, strict=True):
        if id(h) not in found:  # layers with the same input share their moments
            found[id(h)] = leading_directions(h, n, config.rank)
        weight = layer.lora_A["default"].weight
        weight.data.copy_(found[id(h)].to(weight.dtype))


def contrasted_inputs(peft_model: Any, batches: TermBatches, config: TrainConfig) -> None:
    """Start A of every adapted layer at the leading eigenvectors of C_h - `RETAIN_WEIGHT` C_n, with unit length.

    A `Preparation` (ReGLU, arXiv:2604.17396). C_h and C_n are taken over the answer tokens of harmful and of normal
    answers.

    Raises:
        ValueError: if the rank is larger than the number of inputs of an adapted layer.
    """
    layers = _adapted_layers(peft_model, config)
    c_harmful, c_normal = (
        second_moments(peft_model, layers, answer_rows(batches, config, kind)) for kind in ("harmful", "normal")
    )
    found: dict[int, Tensor] = {}
    for layer, h, n in zip(layers, c_harmful, c_normal, strict=True):
        if id(h) not in found:
            found[id(h)] = leading_eigenvectors(h - RETAIN_WEIGHT * n, config.rank)
        weight = layer.lora_A["default"].weight
        weight.data.copy_(found[id(h)].to(weight.dtype))


def moments_of_normal_outputs(
    peft_model: Any, layers: Sequence[nn.Module], batches: TermBatches, config: TrainConfig
) -> list[Tensor]:
    """E[y y'] of the output y of each layer on normal answers; B must still be 0."""
    return second_moments(peft_model, layers, answer_rows(batches, config, "normal"), of_outputs=True)


def answer_rows(batches: TermBatches, config: TrainConfig, kind: Literal["harmful", "normal"]) -> list[WatchedRow]:
    """Up to `CONTRASTED_PAIRS` answers of one kind, watched from their first token on."""
    pairs = batches.harmful if kind == "harmful" else batches.normal
    some = random.Random(f"{config.seed}:contrast:{kind}").sample(list(pairs), min(CONTRASTED_PAIRS, len(pairs)))
    rows = [encode_answer(batches.template, pair.prompt, pair.answer, config.max_tokens) for pair in some]
    return [WatchedRow(row, row.prompt_tokens) for row in rows]


def leading_eigenvectors(symmetric: Tensor, count: int) -> Tensor:
    """The eigenvectors of `[K, K]` with the `count` largest eigenvalues, largest last: `[count, K]`, orthonormal."""
    vectors: Tensor = torch.linalg.eigh(symmetric).eigenvectors[:, -count:].T
    return vectors


def _adapted_layers(peft_model: Any, config: TrainConfig) -> list[LoraLayer]:
    layers = [module for module in peft_model.modules() if isinstance(module, LoraLayer)]
    smallest = min(layer.in_features for layer in layers)
    if config.rank > smallest:
        raise ValueError(f"rank {config.rank} is larger than the {smallest} inputs of an adapted layer; lower it")
    return layers


def watched_rows(batches: TermBatches, config: TrainConfig) -> tuple[list[WatchedRow], list[WatchedRow]]:
    """The harmful rows (answers, and refusals in harmful contexts) and the normal rows from which directions come."""
    generator = random.Random(f"{config.seed}:directions")

    def sample(pairs: Sequence[PromptPair], most: int) -> list[PromptPair]:
        return generator.sample(list(pairs), min(most, len(pairs)))

    def answers(pairs: Sequence[PromptPair]) -> list[EncodedPair]:
        return [encode_answer(batches.template, pair.prompt, pair.answer, config.max_tokens) for pair in pairs]

    template_tokens = max(1, len(batches.template.suffix_ids))
    some = sample(batches.harmful, config.direction_pairs[0])
    refusals = [batches.refusal_row(pair, -1) for pair in some]
    prompts = [len(batches.template.prompt_ids(pair.prompt)) for pair in some]
    harmful = [
        WatchedRow(row, max(0, prompt - template_tokens))
        for rows in (answers(some), refusals)
        for row, prompt in zip(rows, prompts, strict=True)
    ]
    normal = [
        WatchedRow(row, max(0, row.prompt_tokens - template_tokens))
        for row in answers(sample(batches.normal, config.direction_pairs[1]))
    ]
    return harmful, normal


def leading_directions(harmful: Tensor, normal: Tensor, count: int) -> Tensor:
    """The generalised eigenvectors of (C_h, C_n + r I) with the largest ratios.

    Args:
        harmful: C_h, `[K, K]`.
        normal: C_n, `[K, K]`.
        count: how many, at most K.

    Returns:
        `[count, K]` in fp64, the largest ratio last, each scaled so that a' C_h a = 1.
    """
    size = len(normal)
    ridge = RIDGE * normal.diagonal().mean().clamp_min(torch.finfo(normal.dtype).tiny)
    root = torch.linalg.cholesky(normal + ridge * torch.eye(size, dtype=normal.dtype))
    half = torch.linalg.solve_triangular(root, harmful, upper=False)
    whitened = torch.linalg.solve_triangular(root, half.T, upper=False)
    _, vectors = torch.linalg.eigh((whitened + whitened.T) / 2)  # in ascending order
    directions = torch.linalg.solve_triangular(root.T, vectors[:, -count:], upper=True).T
    length = torch.einsum("ik,kl,il->i", directions, harmful, directions).clamp_min(torch.finfo(normal.dtype).tiny)
    scaled: Tensor = directions / length.sqrt()[:, None]
    return scaled


@torch.no_grad()
def second_moments(
    peft_model: Any, layers: Sequence[nn.Module], rows: Sequence[WatchedRow], of_outputs: bool = False
) -> list[Tensor]:
    """E[x x'] of the input x of each layer over the watched tokens: `[K, K]` in fp64 on the CPU, one for each layer.

    With `of_outputs`, x is the layer's output instead.

    Layers that read the same tensor, such as gate and up, share one result.
    """
    network = peft_model.get_base_model()
    device = network.get_input_embeddings().weight.device
    sums = _MomentSums(layers, of_outputs)
    for start in range(0, len(rows), ROWS_PER_FORWARD):
        some = rows[start : start + ROWS_PER_FORWARD]
        batch = collate([row.encoded for row in some]).to(device)
        positions = torch.arange(batch.input_ids.shape[1], device=device)
        first = torch.tensor([row.first for row in some], device=device)
        with sums.watching((positions >= first[:, None]) & batch.attention_mask.bool()):
            _read(network, batch)
    return sums.means()


def _read(network: Any, batch: Batch) -> None:
    network.base_model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False)


class _MomentSums:
    """Sums of x x' for each layer, added up by hooks."""

    def __init__(self, layers: Sequence[nn.Module], of_outputs: bool = False) -> None:
        self._layers, self._of_outputs = list(layers), of_outputs
        self._sums: list[Tensor | None] = [None] * len(self._layers)
        self._same_as = list(range(len(self._layers)))
        """The first layer that reads the same tensor."""
        self._tokens = 0
        self._mask = torch.zeros(0, dtype=torch.bool)
        self._inputs: list[tuple[int, Tensor]] = []

    @contextmanager
    def watching(self, mask: Tensor) -> Iterator[None]:
        """Inside the `with` block, forward passes are added up over the tokens in `mask` `[B, T]`."""
        self._mask, self._inputs = mask, []
        hooks = [self._watch(layer, place) for place, layer in enumerate(self._layers)]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
        self._tokens += int(mask.sum())

    def means(self) -> list[Tensor]:
        """The sums divided by the number of tokens."""
        means = [None if one is None else one / max(1, self._tokens) for one in self._sums]
        found = [means[first] for first in self._same_as]
        return [one for one in found if one is not None]

    def _watch(self, layer: nn.Module, place: int) -> RemovableHandle:
        add = self._adder(place)
        if self._of_outputs:
            return layer.register_forward_hook(lambda _layer, _inputs, output: add(output))
        return layer.register_forward_pre_hook(lambda _layer, inputs: add(inputs[0]))

    def _adder(self, place: int) -> Callable[[Tensor], None]:
        def add(read: Tensor) -> None:
            for first, seen in self._inputs:
                if seen is read:
                    self._same_as[place] = first
                    return
            self._inputs = [*self._inputs[-1:], (place, read)]
            x = read.reshape(-1, read.shape[-1])[self._mask.reshape(-1)].float()  # OPT flattens rows before its MLP
            total = (x.T @ x).double().cpu()
            before = self._sums[place]
            self._sums[place] = total if before is None else before + total

        return add
