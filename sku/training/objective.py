"""The loss of one step: all terms of a method, computed in one shared forward pass. Owns no data and no optimiser."""

from __future__ import annotations

from collections.abc import Sequence
from pkgutil import resolve_name
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from sku.core.config import TrainConfig
from sku.core.methods import METHODS
from sku.core.records import PromptPair
from sku.core.terms import TERMS, RunsAt
from sku.models.batching import EncodedPair, collate
from sku.models.likelihood import answer_hidden_rows, output_logits
from sku.training.losses.inputs import TermInputs, TermLoss
from sku.training.term_batches import TermRows, TermStream


class Objective(nn.Module):
    """All terms of a method. It is a module, so that data-parallel wrappers see one forward pass per step."""

    def __init__(self, peft_model: Any, config: TrainConfig, base_hidden: dict[str, Tensor] | None = None) -> None:
        """Prepare the losses of the method.

        Args:
            peft_model: a causal language model with one trainable LoRA adapter.
            config: the settings of the run.
            base_hidden: a cache of the base's hidden states by pair id. Trainings with the same base, template and
                `max_tokens` may share it.
        """
        super().__init__()
        self.peft_model = peft_model
        self.config = config
        self._losses = {name: find_loss(TERMS[name].loss) for name in config.terms}
        self._lora_layers = [m for m in peft_model.modules() if isinstance(m, LoraLayer)]
        self._base_hidden = {} if base_hidden is None else base_hidden

    def forward(self, drawn: dict[TermStream, TermRows]) -> tuple[dict[str, Tensor], int]:
        """Compute every term of the method on the rows of one step.

        Args:
            drawn: the rows of each stream, as `TermBatches.at` returns them.

        Returns:
            The unweighted value of each term by its name, and the number of tokens that went through the model.
        """
        batch = collate([row for rows in drawn.values() for row in rows.encoded]).to(self._device)
        self.set_coefficients(drawn)
        hidden, targets, places = answer_hidden_rows(self._network, batch)
        terms: dict[str, Tensor] = {}
        first = 0
        for stream, rows in drawn.items():
            end = first + len(rows.encoded)
            in_stream = (places >= first) & (places < end)
            names = [name for name in self.config.terms if TermStream.of(name) == stream]
            inputs = self._inputs(names, rows, hidden[in_stream], targets[in_stream], places[in_stream])
            terms |= {name: self._losses[name](inputs, self.config) for name in names}
            first = end
        return terms, batch.tokens

    def _inputs(self, names: list[str], rows: TermRows, hidden: Tensor, targets: Tensor, places: Tensor) -> TermInputs:
        """The inputs of the terms of one stream. The base is run only if one of the terms needs it."""
        needs_logits = any(TERMS[name].needs_base_logits for name in names)
        needs_hidden = any(TERMS[name].needs_hidden for name in names)
        base_hidden = self._hidden_of_base(rows.pairs, rows.encoded) if needs_logits or needs_hidden else None
        base_logits = other_logits = None
        with torch.no_grad():
            if needs_logits and base_hidden is not None:  # [N, V], which a loss of hidden states alone does not pay for
                base_logits = output_logits(self._network, base_hidden)
            if any(TERMS[name].needs_other_prompt for name in names):
                other_hidden = self._hidden_of_base(rows.other_pairs, rows.other_encoded)
                other_logits = output_logits(self._network, other_hidden)
        return TermInputs(
            logits=output_logits(self._network, hidden),
            targets=targets,
            rows=places,
            base_logits=base_logits,
            other_logits=other_logits,
            hidden=hidden if needs_hidden else None,
            base_hidden=base_hidden if needs_hidden else None,
        )

    def set_coefficients(self, drawn: dict[TermStream, TermRows]) -> None:
        """Set the coefficient of tau of every row (`Term.runs_at`).

        The coefficients stay set until the next call, because gradient checkpointing runs the layers again in the
        backward pass.
        """
        signs = [
            self._sign(stream.runs_at[i % len(stream.runs_at)])
            for stream, rows in drawn.items()
            for i in range(len(rows.encoded))
        ]
        plain = all(sign == 1.0 for sign in signs)
        column = 1.0 if plain else torch.tensor(signs, device=self._device)[:, None, None]
        for layer in self._lora_layers:
            layer.scaling["default"] = self.config.alpha / self.config.rank * column

    def _sign(self, runs_at: RunsAt) -> float:
        negated = {
            "trained": False,
            "preserved": self.config.preserved_negated,
            "served": METHODS[self.config.method].negated,
        }
        return -1.0 if negated[runs_at] else 1.0

    @torch.no_grad()
    def _hidden_of_base(self, pairs: Sequence[PromptPair], rows: Sequence[EncodedPair]) -> Tensor:
        """The base's last hidden states `[N, H]` at the answer tokens of `rows`, the encoded `pairs`.

        The cache holds hidden states instead of logits: a few hundred numbers per token instead of the whole
        vocabulary. Each row is computed alone, so that its cached values do not depend on the other rows of the batch.
        """
        hidden = []
        for pair, encoded in zip(pairs, rows, strict=True):
            if pair.id not in self._base_hidden:
                self._base_hidden[pair.id] = self._hidden_of_base_row(encoded)
            hidden.append(self._base_hidden[pair.id])
        return torch.cat(hidden).to(self._device)

    def _hidden_of_base_row(self, encoded: EncodedPair) -> Tensor:
        with self.peft_model.disable_adapter():
            return answer_hidden_rows(self._network, collate([encoded]).to(self._device))[0].cpu()

    @property
    def _network(self) -> Any:
        return self.peft_model.get_base_model()

    @property
    def _device(self) -> torch.device:
        device: torch.device = self._network.get_input_embeddings().weight.device
        return device


def find_loss(name: str) -> TermLoss:
    """The loss function with the name in `Term.loss`, such as `kl:preserve`."""
    loss: TermLoss = resolve_name(f"sku.training.losses.{name}")
    return loss
