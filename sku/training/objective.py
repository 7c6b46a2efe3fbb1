"""The loss of one step: all terms of a method over one shared forward. Owns no data and no optimiser."""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from sku.core.config import TrainConfig
from sku.models.batching import EncodedPair, collate
from sku.models.likelihood import answer_hidden_rows, output_logits
from sku.training import losses
from sku.training.losses.sequence import sequence_nll
from sku.training.term_batches import STREAM_OF, TermRows

_KL_TERMS = ("preservation", "retention")
OPENING_TOKENS = 4
"""Tokens of an answer in which it is decided whether it refuses: "I", "'m", " sorry", ","."""


class Objective(nn.Module):
    """A module, so that data-parallel wrappers see one forward a step."""

    def __init__(self, peft_model: Any, config: TrainConfig, base_hidden: dict[str, Tensor] | None = None) -> None:
        """Trainings of the same base, template and `max_tokens` may share `base_hidden`."""
        super().__init__()
        self.peft_model = peft_model
        """A causal language model with one trainable LoRA adapter."""
        self.config = config
        self._lora_layers = [m for m in peft_model.modules() if isinstance(m, LoraLayer)]
        self._base_hidden = {} if base_hidden is None else base_hidden

    def forward(self, drawn: dict[str, TermRows]) -> tuple[dict[str, Tensor], int]:
        """Every term of the method on the rows of one step.

        Args:
            drawn: stream name to its rows, as `TermBatches.at` gives them.

        Returns:
            Term name to its unweighted scalar, and how many tokens went through the model.
        """
        batch = collate([row for rows in drawn.values() for row in rows.encoded]).to(self._device)
        self._take_sides(drawn)
        hidden, targets, places = answer_hidden_rows(self._network, batch)
        terms, first = {}, 0
        for stream, rows in drawn.items():
            last = first + len(rows.encoded)
            mine = (places >= first) & (places < last)
            logits = output_logits(self._network, hidden[mine])
            for name in self.config.terms:
                if STREAM_OF[name] == stream:
                    terms[name] = self._term(name, logits, targets[mine], places[mine], rows)
            first = last
        return terms, batch.tokens

    def _term(self, name: str, logits: Tensor, targets: Tensor, places: Tensor, rows: TermRows) -> Tensor:
        slope = self.config.contrast_slope
        if STREAM_OF[name] == "paired":
            base_nll = sequence_nll(self._base_logits(rows), targets, places)
            if name == "preference":
                return losses.preference(logits, targets, places, base_nll, slope)
            return losses.contrast(logits, targets, places, base_nll, slope, self.config.preserved_negated)
        if name not in _KL_TERMS:
            term: Tensor = getattr(losses, name)(logits, targets, places)
            return term
        base_logits = self._base_logits(rows)
        if name == "retention":
            return losses.retention(logits, base_logits)
        weights = opening_weights(places, self.config.opening_weight)
        push, bound = self.config.preservation == "push", self.config.push_bound
        return losses.preservation(logits, base_logits, push, bound, weights)

    def _take_sides(self, drawn: dict[str, TermRows]) -> None:
        """Let normal and safe answers run as base - tau where they are preserved there; all others run as base + tau.

        Stays set until the next step: gradient checkpointing runs the layers again on the way back.
        """
        if not self.config.preserved_negated:
            return
        signs = [sign for stream, rows in drawn.items() for sign in _signs(stream, len(rows.encoded))]
        column = torch.tensor(signs, device=self._device)[:, None, None]
        for layer in self._lora_layers:
            layer.scaling["default"] = self.config.alpha / self.config.rank * column

    @torch.no_grad()
    def _base_logits(self, rows: TermRows) -> Tensor:
        """Logits `[N, V]` of the base at the answers of `rows`.

        Only the hidden states are kept (a few hundred numbers a token instead of the whole vocabulary), and each row is
        computed alone, so that what is kept does not depend on which rows came with it.
        """
        hidden = []
        for pair, encoded in zip(rows.pairs, rows.encoded, strict=True):
            if pair.id not in self._base_hidden:
                self._base_hidden[pair.id] = self._hidden_of_base(encoded)
            hidden.append(self._base_hidden[pair.id])
        return output_logits(self._network, torch.cat(hidden).to(self._device))

    def _hidden_of_base(self, encoded: EncodedPair) -> Tensor:
        with self.peft_model.disable_adapter():
            return answer_hidden_rows(self._network, collate([encoded]).to(self._device))[0].cpu()

    @property
    def _network(self) -> Any:
        return self.peft_model.get_base_model()

    @property
    def _device(self) -> torch.device:
        device: torch.device = self._network.get_input_embeddings().weight.device
        return device


def opening_weights(places: Tensor, weight: float) -> Tensor | None:
    """How much each scored token counts where the first `OPENING` of every answer count `weight` times as much.

    Args:
        places: `[N]`, the row that each token belongs to, in order.
        weight: 1 for all alike, which is None.
    """
    if weight == 1:
        return None
    tokens = torch.unique_consecutive(places, return_counts=True)[1].tolist()  # of each answer
    position = torch.cat([torch.arange(count, device=places.device) for count in tokens])
    return torch.where(position < OPENING_TOKENS, weight, 1.0)


def _signs(stream: str, rows: int) -> list[float]:
    """Of tau in each row of a stream, where good answers are preserved in the negated model."""
    if stream == "normal":
        return [-1.0] * rows
    return [1.0, -1.0] * (rows // 2) if stream == "paired" else [1.0] * rows
