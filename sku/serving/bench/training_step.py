"""Measure one training step in three shapes on the default model: the reference's, a well-written Trainer's, and ours.

- reference: two models; a forward pass per kind of row for each; logits of all tokens, padding included.
- trainer: one PEFT model; one padded pass for all rows and one, with the adapter off, for the rows whose terms need
  the base; logits of the scored tokens only.
- ours, new rows: `Objective` with an empty cache.
- ours, known rows: the base's states of all rows are in the cache, as from the second pass over the data or in a
  second training.

All four compute the same losses and gradients. GFLOP are those of the matrix products that a shape really does;
`peak_gflops` is a large product in the same run. CPU seconds are those of all threads divided by their number: with one
thread they hardly depend on what else the machine does.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar, get_args

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from sku.core.config import TrainConfig
from sku.core.methods import METHODS
from sku.core.records import PairKind
from sku.core.terms import TERMS
from sku.models.batching import EncodedPair, collate
from sku.models.likelihood import answer_token_logits
from sku.models.pretrained import provision_base
from sku.models.variant_model import load_variant_model
from sku.serving.bench.figures import Figure
from sku.training.lora import add_lora
from sku.training.losses.inputs import TermInputs
from sku.training.objective import Objective, find_loss
from sku.training.state_cache import StateCache
from sku.training.term_batches import TermBatches, TermRows, TermStream
from sku.training.train_data import gather_pairs, read_sources

Drawn = dict[TermStream, TermRows]
Result = TypeVar("Result")
Shape = Callable[[Drawn], dict[str, Tensor]]


class Seconds(NamedTuple):
    """The time of one step."""

    wall: float
    cpu: float


class Shapes:
    """The three shapes on one model."""

    def __init__(self, config: TrainConfig, say: Callable[[str], None]) -> None:
        self.config, self.say = config, say
        model = load_variant_model(provision_base(config.model, say), config.dtype, "cpu")
        harmful, normal = (
            gather_pairs(config, kind, read_sources(config, kind), model, say)[0] for kind in get_args(PairKind)
        )
        self.batches = TermBatches(harmful, normal, config, model.template)
        self.base = copy.deepcopy(model.network)
        self.peft_model = add_lora(model.network, config)
        self.network = self.peft_model.get_base_model()
        for name, weight in self.peft_model.named_parameters():
            if ".lora_B." in name:
                weight.data.normal_(0, 0.01)

    def reference(self, drawn: Drawn) -> dict[str, Tensor]:
        """A pass per kind of row and model, with all logits."""
        terms: dict[str, Tensor] = {}
        for stream, rows in drawn.items():
            batch = collate(rows.encoded)
            self._set_signs([sign(self.config, stream, i) for i in range(len(rows.encoded))])
            keywords = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask, "use_cache": False}
            at = batch.answer_mask[:, 1:].nonzero(as_tuple=True)
            base = None
            if any(TERMS[name].needs_base_logits for name in terms_of(self.config, stream)):
                with torch.no_grad():
                    base = self.base(**keywords).logits[at]
            logits = self.network(**keywords).logits[at]
            inputs = TermInputs(logits, batch.input_ids[at[0], at[1] + 1], at[0], base)
            terms |= self._losses(stream, inputs)
        return terms

    def trainer(self, drawn: Drawn) -> dict[str, Tensor]:
        """One pass for all rows, one for the rows whose terms need the base."""
        compared = {s for s in drawn if any(TERMS[name].needs_base_logits for name in terms_of(self.config, s))}
        of_base = [row for s in drawn if s in compared for row in drawn[s].encoded]
        with torch.no_grad(), self.peft_model.disable_adapter():
            base = answer_token_logits(self.network, collate(of_base)).logits if of_base else None
        self._set_signs([sign(self.config, s, i) for s, rows in drawn.items() for i in range(len(rows.encoded))])
        scored = answer_token_logits(self.network, collate([row for rows in drawn.values() for row in rows.encoded]))
        terms: dict[str, Tensor] = {}
        end = base_end = 0
        for stream, rows in drawn.items():
            tokens = scored_tokens(rows.encoded)
            mine = slice(end, end := end + tokens)
            theirs = slice(base_end, base_end := base_end + tokens) if stream in compared else slice(0)
            base_logits = base[theirs] if base is not None and stream in compared else None
            terms |= self._losses(
                stream, TermInputs(scored.logits[mine], scored.targets[mine], scored.rows[mine], base_logits)
            )
        return terms

    def ours(self, cache: StateCache) -> Shape:
        """The project's step."""
        objective = Objective(self.peft_model, self.config, self.batches.template.prefix_ids, cache)
        return lambda drawn: objective(drawn)[0]

    def step(self, shape: Shape, drawn: Drawn) -> float:
        """Losses and gradients; returns the weighted sum of the losses."""
        total = torch.stack([self.config.terms[name] * value for name, value in shape(drawn).items()]).sum()
        total.backward()  # type: ignore[no-untyped-call]
        return float(total.detach())

    def reset(self) -> None:
        """No gradients, and every row at +tau."""
        self.peft_model.zero_grad()
        self._set_signs([])

    def _losses(self, stream: TermStream, inputs: TermInputs) -> dict[str, Tensor]:
        return {name: find_loss(TERMS[name].loss)(inputs, self.config) for name in terms_of(self.config, stream)}

    def _set_signs(self, signs: list[float]) -> None:
        unit = self.config.alpha / self.config.rank
        for layer in self.peft_model.modules():
            if isinstance(layer, LoraLayer):
                layer.scaling["default"] = unit * torch.tensor(signs)[:, None, None] if signs else unit


def measure(shapes: Shapes, rounds: int, folder: Path) -> list[Figure]:
    """Take the shapes in turn, so that a slower phase of the machine affects all of them."""
    times: dict[str, list[Seconds]] = {}
    flops: dict[str, float] = {}
    peaks: list[float] = []
    for number in range(rounds + 1):  # the first round warms up, and counts operations
        drawn = shapes.batches.at(number)
        cache = StateCache(folder / str(number))
        ours = shapes.ours(cache)
        turns: dict[str, Shape] = {
            "reference": shapes.reference, "trainer": shapes.trainer, "ours, new rows": ours, "ours, known rows": ours,
        }  # fmt: skip
        totals = []
        for name, shape in turns.items():
            shapes.reset()
            if number:
                taken, total = timed(partial(shapes.step, shape, drawn))
                times.setdefault(name, []).append(taken)
            else:
                with FlopCounterMode(display=False) as counter:
                    total = shapes.step(shape, drawn)
                flops[name] = counter.get_total_flops() / 1e9
            totals.append(total)
            shapes.say(f"round {number}, {name}: loss {total:.4f}")
        peaks.append(peak_gflops())
        if max(totals) - min(totals) > 1e-4 * abs(totals[0]):
            raise ArithmeticError(f"the shapes do not compute the same loss: {totals}")
    return report(shapes, times, flops, statistics.median(peaks))


def report(shapes: Shapes, times: dict[str, list[Seconds]], flops: dict[str, float], peak: float) -> list[Figure]:
    """Medians, and how many times faster ours is."""
    wall = {name: statistics.median(one.wall for one in taken) for name, taken in times.items()}
    cpu = {name: statistics.median(one.cpu for one in taken) for name, taken in times.items()}
    rows = [row for of_stream in shapes.batches.at(1).values() for row in of_stream.encoded]
    tokens = sum(len(row.ids) for row in rows)
    figures = [Figure(f"tokens of a step of `{shapes.config.method}`, {len(rows)} rows", tokens)]
    figures += [Figure(f"a step, {name}", wall[name], "s", cpu[name]) for name in times]
    for name in ("reference", "trainer"):
        for ours in ("ours, known rows", "ours, new rows"):
            figures.append(Figure(f"{name} over {ours}", wall[name] / wall[ours], "times", cpu[name] / cpu[ours]))
    figures += [
        Figure(f"share of the processor's peak, {name}", 100 * flops[name] / cpu[name] / peak, "%") for name in times
    ]
    return [*figures, Figure("peak, a large product", peak, "GFLOP a CPU second")]


def peak_gflops() -> float:
    """The rate of a large matrix product in GFLOP per CPU second of all threads."""
    left, right = torch.randn(1024, 1536), torch.randn(1536, 1536)
    torch.mm(left, right)
    taken, _ = timed(lambda: [torch.mm(left, right) for _ in range(20)])
    return 20 * 2 * 1024 * 1536 * 1536 / 1e9 / taken.cpu


def timed(work: Callable[[], Result]) -> tuple[Seconds, Result]:
    """The time of `work`, and what it returns."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return Seconds(time.perf_counter() - wall, (time.process_time() - cpu) / torch.get_num_threads()), result


def sign(config: TrainConfig, stream: TermStream, row: int) -> float:
    """The sign of tau in a row."""
    served = METHODS[config.method].negated
    negated = {"trained": False, "preserved": config.preserved_negated, "served": served}
    return -1.0 if negated[stream.runs_at[row % len(stream.runs_at)]] else 1.0


def terms_of(config: TrainConfig, stream: TermStream) -> list[str]:
    """The terms that are computed on a stream."""
    return [name for name in config.terms if TermStream.of(name) == stream]


def scored_tokens(rows: list[EncodedPair]) -> int:
    """The number of answer tokens."""
    return sum(len(row.answer) for row in rows)
