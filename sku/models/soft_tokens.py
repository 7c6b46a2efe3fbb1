"""Embedding vectors in place of tokens: where a prompt has a given run of tokens, the model reads vectors instead.

The vectors may need gradients, so that they can be trained while the model stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sku.models.altered_model import ModuleHook
from sku.models.variant_model import VariantModel


def replace_embeddings(model: VariantModel, run: Sequence[int], vectors: Tensor) -> ModuleHook:
    """A hook for `AlteredModel`: where a row has the tokens `run` for the first time, `vectors` are read.

    A row without the run is read as it is, and so is every decoding step, which has one token. Where answers are
    generated, the run must stand directly after the template's prefix; elsewhere the prefix cache could divide it
    between two forward passes.

    Args:
        model: its input embedding gets the hook.
        run: N tokens.
        vectors: `[N, H]`; they are read after any scaling that the embedding does.
    """
    wanted = torch.tensor(run, dtype=torch.long, device=model.device)
    steps = torch.arange(len(run), device=model.device)

    def hook(_module: nn.Module, inputs: tuple[Any, ...], embedded: Tensor) -> Tensor | None:
        ids: Tensor = inputs[0]
        if not 0 < len(run) <= ids.shape[1]:
            return None
        found = (ids.unfold(1, len(run), 1) == wanted).all(-1)  # (B, T - N + 1)
        rows = found.any(1).nonzero()  # (R, 1)
        if not len(rows):
            return None
        columns = found[rows[:, 0]].long().argmax(1)[:, None] + steps  # (R, N); argmax takes the first
        return embedded.index_put((rows, columns), vectors.to(embedded.dtype))

    return ModuleHook(model.network.get_input_embeddings(), hook)
