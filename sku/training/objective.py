"""The loss of one step: all terms of a method, computed in one shared forward pass. Owns no data and no optimiser.

Three things keep a step quick. The blocks below the first adapted one give every model the same hidden states, so they
run once per row, without a gradient. Rows that begin alike share those tokens (`models/shared_tokens.py`). The output
head runs on scored tokens only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pkgutil import resolve_name
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from sku.core.config import TrainConfig
from sku.core.methods import METHODS
from sku.core.terms import TERMS, RunsAt, Term
from sku.models.batching import EncodedPair
from sku.models.flattened_inputs import FlattenedInputs
from sku.models.likelihood import output_logits
from sku.models.partial_forward import PartialForward
from sku.models.shared_tokens import RowLayout, lay_out, use_shared_tokens
from sku.training.base_states import BaseStates
from sku.training.losses.inputs import TermInputs, TermLoss
from sku.training.losses.kl import OPENING_TOKENS
from sku.training.rounded_serving import RoundedServing
from sku.training.state_cache import StateCache
from sku.training.term_batches import TermRows, TermStream


class Objective(nn.Module):
    """All terms of a method. It is a module, so that data-parallel wrappers see one forward pass per step."""

    def __init__(
        self, peft_model: Any, config: TrainConfig, prefix: Sequence[int] = (), cache: StateCache | None = None
    ) -> None:
        """Prepare the losses of the method.

        Args:
            peft_model: a causal language model with one trainable LoRA adapter.
            config: the settings of the run.
            prefix: the first tokens of the chat template, which the base reads once for all rows.
            cache: keeps the base's hidden states; by default in `SKU_HOME`, for all trainings on this machine.

        Raises:
            ValueError: if a term compares hidden states at a level that the adapter cannot change.
        """
        super().__init__()
        self.peft_model = peft_model
        self.config = config
        self._losses = {name: find_loss(TERMS[name].loss) for name in config.terms}
        self._lora_layers = [m for m in peft_model.modules() if isinstance(m, LoraLayer)]
        flattened = FlattenedInputs(self._network)
        for layer in self._lora_layers:
            flattened.watch(layer)
        self._partial = PartialForward(self._network)
        self._start = first_adapted_block(self._partial.blocks, self._lora_layers)
        self._shares_tokens = use_shared_tokens(self._network)
        usable = prefix if self._shares_tokens else ()  # a sliding window could not see all of it
        self._base = BaseStates(peft_model, self._partial, self._start, cache or StateCache(), usable)
        self._check_levels()
        self._rounding = RoundedServing(self._lora_layers, self._scale * self._served) if config.round_every else None
        self._rounds = False

    def begin_step(self, step: int) -> None:
        """Say which step comes; some are scored with rounded weights (`TrainConfig.round_every`)."""
        self._rounds = bool(self.config.round_every) and step % self.config.round_every == 0

    def forward(self, drawn: dict[TermStream, TermRows]) -> tuple[dict[str, Tensor], int]:
        """Compute every term of the method on the rows of one step.

        Args:
            drawn: the rows of each stream, as `TermBatches.at` returns them.

        Returns:
            The unweighted value of each term by its name, and the number of tokens in the rows. If processes share the
            step, the mean of a term over the processes is its value on all rows.
        """
        rows = [row for of_stream in drawn.values() for row in of_stream.encoded]
        layout = self.set_coefficients(drawn)
        given = self._given(rows, layout)
        with self._rounded(drawn, layout):
            hidden = self._partial.run(layout, self._levels(self.config.terms), self._start, given)
        terms: dict[str, Tensor] = {}
        first = 0
        for stream, of_stream in drawn.items():
            names = [name for name in self.config.terms if TermStream.of(name) == stream]
            inputs = self._inputs(names, of_stream, first, layout, hidden)
            for name in names:
                share = share_of_mean(TERMS[name].mean_over, of_stream, self.config)
                terms[name] = self._losses[name](inputs, self.config) * share
            first += len(of_stream.encoded)
        return terms, sum(len(row.ids) for row in rows)

    @property
    def runs_all_blocks(self) -> bool:
        """Whether the terms read the last hidden states, so that every LoRA factor has a gradient."""
        return self._partial.depth in self._levels(self.config.terms)

    def _given(self, rows: Sequence[EncodedPair], layout: RowLayout) -> Tensor | None:
        """The hidden states below the first adapted block; None if the first block is adapted."""
        if not self._start:
            return None
        return layout.gather([states.to(self._device) for states in self._base.below(rows)])

    def _inputs(
        self,
        names: Sequence[str],
        of_stream: TermRows,
        first: int,
        layout: RowLayout,
        hidden: dict[int, Tensor],
    ) -> TermInputs:
        """The inputs of the terms of one stream, whose rows begin with number `first`."""
        terms, rows = [TERMS[name] for name in names], of_stream.encoded
        numbers, positions, targets = _scored_tokens(rows, self._device)
        places = layout.places[first + numbers, positions]
        own = {level: states.flatten(0, 1)[places] for level, states in hidden.items()}
        base = self._states_of_base(rows, self._base_levels(terms))
        levels = self._compared_levels(terms)
        needs_hidden = any(term.needs_hidden for term in terms)
        needs_other = any(term.needs_other_prompt for term in terms)
        other = self._states_of_base(of_stream.other_encoded, {self._partial.depth} if needs_other else set())
        return TermInputs(
            logits=self._logits(own, any(term.needs_logits for term in terms)),
            targets=targets,
            rows=first + numbers,
            base_logits=self._base_logits(base) if any(term.needs_base_logits for term in terms) else None,
            other_logits=self._base_logits(other) if needs_other else None,
            hidden=own[self._partial.depth] if needs_hidden else None,
            base_hidden=base[self._partial.depth] if needs_hidden else None,
            at_levels=tuple(own[level] for level in levels),
            base_at_levels=tuple(base[level] for level in levels),
        )

    def _logits(self, own: dict[int, Tensor], needed: bool) -> Tensor:
        depth = self._partial.depth
        if needed:
            return output_logits(self._network, own[depth])
        return next(iter(own.values())).new_empty(0, 0)

    @torch.no_grad()
    def _base_logits(self, base: dict[int, Tensor]) -> Tensor:
        return output_logits(self._network, base[self._partial.depth])

    def _states_of_base(self, rows: Sequence[EncodedPair], levels: set[int]) -> dict[int, Tensor]:
        """The base's hidden states `[N, H]` that predict the answer tokens of `rows`, by level."""
        by_row = self._base.predicting(rows, levels) if levels else []
        return {level: torch.cat([states[level] for states in by_row]).to(self._device) for level in levels}

    def _levels(self, names: Iterable[str]) -> set[int]:
        """The levels at which the terms read the model in training."""
        terms = [TERMS[name] for name in names]
        last = {self._partial.depth} if any(term.needs_logits or term.needs_hidden for term in terms) else set()
        return last | set(self._compared_levels(terms))

    def _base_levels(self, terms: Sequence[Term]) -> set[int]:
        """The levels at which the terms read the base."""
        last = {self._partial.depth} if any(term.needs_base_logits or term.needs_hidden for term in terms) else set()
        return last | set(self._compared_levels(terms))

    def _compared_levels(self, terms: Sequence[Term]) -> list[int]:
        """The levels of `Term.hidden_at`, in order. Terms of one stream share them."""
        shares = sorted({share for term in terms for share in term.hidden_at})
        return [max(1, round(share * self._partial.depth)) for share in shares]

    def _check_levels(self) -> None:
        for name in self.config.terms:
            for level in self._compared_levels([TERMS[name]]):
                if level <= self._start:
                    raise ValueError(
                        f"term {name} compares hidden states after {level} of {self._partial.depth} blocks, but the "
                        f"first adapted block is number {self._start + 1}, so they cannot change; begin layers earlier"
                    )

    def _signs(self, drawn: dict[TermStream, TermRows]) -> list[float]:
        """The sign of tau in every row (`Term.runs_at`)."""
        return [
            self._sign(stream.runs_at[i % len(stream.runs_at)])
            for stream, rows in drawn.items()
            for i in range(len(rows.encoded))
        ]

    def set_coefficients(self, drawn: dict[TermStream, TermRows]) -> RowLayout:
        """Set the coefficient of tau of every row, and return how the rows are laid out.

        The coefficients stay set until the next call, because gradient checkpointing runs the layers again in the
        backward pass.
        """
        rows = [row.ids for of_stream in drawn.values() for row in of_stream.encoded]
        signs = self._signs(drawn)
        layout = lay_out(rows, signs, self._shares_tokens, self._device)
        column = 1.0 if all(sign == 1.0 for sign in signs) else layout.column(signs)
        for layer in self._lora_layers:
            layer.scaling["default"] = self._scale * column
        return layout

    def _rounded(self, drawn: dict[TermStream, TermRows], layout: RowLayout) -> AbstractContextManager[None]:
        """Rounded weights in the rows that are scored where the model is served, if this step has them."""
        if self._rounding is None or not self._rounds:
            return nullcontext()
        served = [float(sign == self._served) for sign in self._signs(drawn)]
        return self._rounding.on_rows(1.0 if all(served) else layout.column(served))

    @property
    def _scale(self) -> float:
        """What the product of the LoRA factors is multiplied by."""
        return self.config.alpha / self.config.rank

    @property
    def _served(self) -> float:
        """The sign of tau in the model that will be served."""
        return self._sign("served")

    def _sign(self, runs_at: RunsAt) -> float:
        negated = {
            "trained": False,
            "preserved": self.config.preserved_negated,
            "served": METHODS[self.config.method].negated,
        }
        return -1.0 if negated[runs_at] else 1.0

    @property
    def _network(self) -> Any:
        return self.peft_model.get_base_model()

    @property
    def _device(self) -> torch.device:
        device: torch.device = self._network.get_input_embeddings().weight.device
        return device


def first_adapted_block(blocks: Sequence[nn.Module], adapted: Sequence[nn.Module]) -> int:
    """The number of blocks below the first one with an adapted layer; 0 if a layer outside the blocks is adapted."""
    block_of = {module: number for number, block in enumerate(blocks) for module in block.modules()}
    return min((block_of.get(layer, 0) for layer in adapted), default=0)


def share_of_mean(mean_over: str, rows: TermRows, config: TrainConfig) -> float:
    """What the mean over some rows of a step is multiplied by, so that the processes' average is the mean over all.

    Args:
        mean_over: as `Term.mean_over`.
        rows: those of this process; every process has as many.
        config: gives the weight of the first tokens of an answer.

    Returns:
        1 for all rows. Else the weight of an average token's share: 1.5 for a process with half of the rows and three
        quarters of the tokens.
    """
    own = [len(row.answer) for row in rows.encoded]
    if mean_over == "answers" or len(own) == len(rows.lengths):
        return 1.0
    extra = config.opening_weight - 1 if mean_over == "weighted tokens" else 0.0

    def mean_weight(lengths: Sequence[int]) -> float:
        return sum(n + extra * min(n, OPENING_TOKENS) for n in lengths) / len(lengths)

    return mean_weight(own) / mean_weight(rows.lengths)


def find_loss(name: str) -> TermLoss:
    """The loss function with the name in `Term.loss`, such as `kl:preserve`."""
    loss: TermLoss = resolve_name(f"sku.training.losses.{name}")
    return loss


def _scored_tokens(rows: Sequence[EncodedPair], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """For each scored token: the number of its row, the position that predicts it, and the token; all `[N]`."""
    scored = [
        (number, position - 1, row.ids[position])
        for number, row in enumerate(rows)
        for position in range(row.prompt_tokens, len(row.ids))
    ]
    numbers, positions, targets = torch.tensor(scored, device=device).T
    return numbers, positions, targets
