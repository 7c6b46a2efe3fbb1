"""A greedy search for one coefficient per layer and operand: the largest fall in the likelihood of harmful answers per
rise in KL from base, within a KL budget. It measures on training or validation prompts, never on test prompts.
"""

from __future__ import annotations

import heapq
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sku.core.combining import MAX_LAYER_COEFFICIENT, CombineConfig
from sku.core.errors import Cancelled
from sku.core.records import PairKind, PromptPair
from sku.data import load_pairs
from sku.data.splits import split
from sku.models.altered_model import AlteredModel
from sku.models.base_answers import answered_source, write_base_answers
from sku.models.batching import MIN_ANSWER_TOKENS, encode_pair
from sku.models.likelihood import MAX_BATCH_TOKENS, ScoredRow, answer_kl, answer_log_probs, in_batches
from sku.models.variant_model import VariantModel
from sku.training.adapter_files import write_changes
from sku.training.combining.operands import Operand
from sku.training.low_rank import stack

_ADAPTER = "searched"
_LAYER_NUMBER = re.compile(r"\.(\d+)\.")
_SMALLEST_KL_RISE = 1e-9
"""In nats. A trial that raises the KL by less counts as raising it by this much."""


class LayerOfOperand(NamedTuple):
    """What gets a coefficient: all modules of one layer in one operand."""

    operand: int
    layer: str


class TrialScore(NamedTuple):
    """What a trial is judged by."""

    harmful: float
    """The mean log-probability of harmful answers, in nats per token."""
    kl: float
    """The mean KL from base on normal answers, in nats per token."""


LayerCoefficients = dict[LayerOfOperand, float]


class SearchResult(NamedTuple):
    """The end of a search."""

    coefficients: LayerCoefficients
    before: TrialScore
    """Of the base."""
    after: TrialScore
    trials: int


class _Candidate(NamedTuple):
    """A raise of one coefficient, in the order in which a heap gives them out: the best first."""

    minus_ratio: float
    place: LayerOfOperand
    score: TrialScore
    accepted_before: int
    """How many raises had been accepted when this one was scored."""


def search_coefficients(
    places: Iterable[LayerOfOperand],
    score: Callable[[LayerCoefficients], TrialScore],
    config: CombineConfig,
    tried: Callable[[int], None] = lambda _: None,
) -> SearchResult:
    """Raise one coefficient at a time, always the one with the largest fall in likelihood per rise in KL.

    All coefficients begin at 0. A candidate is scored again only when it comes first with a score from before the last
    accepted raise, because most raises change the others' ratios little. A candidate that does not lower the
    likelihood, or exceeds the budget, is dropped for good.

    Args:
        places: what gets a coefficient.
        score: scores a set of coefficients.
        config: gives the budget, the step and the number of trials.
        tried: called with the number of trials so far.

    Raises:
        ValueError: if there are fewer trials than coefficients.
    """
    coefficients: LayerCoefficients = dict.fromkeys(places, 0.0)
    if config.trials < len(coefficients):
        raise ValueError(
            f"{config.trials} trials cannot try {len(coefficients)} coefficients; give --trials at least that many"
        )
    before = now = score(coefficients)
    trials = accepted = 0
    heap: list[_Candidate] = []
    unscored = list(coefficients)
    while (unscored or heap) and trials < config.trials:
        if not unscored and heap[0].accepted_before == accepted:
            best = heapq.heappop(heap)
            coefficients[best.place] += config.step
            now, accepted = best.score, accepted + 1
            unscored = [best.place]
            continue
        place = unscored.pop() if unscored else heapq.heappop(heap).place
        raised = coefficients[place] + config.step
        if raised > MAX_LAYER_COEFFICIENT + 1e-9:
            continue
        found = score(coefficients | {place: raised})
        trials += 1
        tried(trials)
        if found.harmful < now.harmful and found.kl <= config.kl_budget:
            ratio = (now.harmful - found.harmful) / max(found.kl - now.kl, _SMALLEST_KL_RISE)
            heapq.heappush(heap, _Candidate(-ratio, place, found, accepted))
    return SearchResult(coefficients, before, now, trials)


def search_layers(
    operands: Sequence[Operand],
    model: VariantModel,
    config: CombineConfig,
    report: Callable[[dict[str, Any]], None],
    cancelled: Callable[[], bool],
) -> SearchResult:
    """Run the search on the operands.

    Args:
        operands: their changes get the coefficients.
        model: the base, without adapters; it gets one while the search runs.
        config: names the prompts and the limits.
        report: called before slow work and after every trial.
        cancelled: called before every trial. If it returns True, `Cancelled` is raised.

    Raises:
        Cancelled: if `cancelled` returned True.
        ValueError: if a source cannot be used, or has no pair on the chosen side.
    """
    report({"doing": f"preparing the {config.side} prompts of the search"})
    scorer = LayerScorer(operands, model, _rows(model, config, "harmful"), _rows(model, config, "normal"))
    began = time.perf_counter()

    def score(coefficients: LayerCoefficients) -> TrialScore:
        if cancelled():
            raise Cancelled("the search was stopped; nothing was written")
        return scorer.score(coefficients)

    def tried(trials: int) -> None:
        seconds = time.perf_counter() - began
        report({"doing": "searching (at most)", "done": trials, "todo": config.trials, "seconds": seconds})

    try:
        return search_coefficients(scorer.places, score, config, tried)
    finally:
        model.remove(_ADAPTER)


class LayerScorer:
    """Scores coefficients of layers. All operands are loaded as one adapter with stacked factors; a trial scales the
    columns of its B factors."""

    def __init__(
        self,
        operands: Sequence[Operand],
        model: VariantModel,
        harmful: Sequence[ScoredRow],
        normal: Sequence[ScoredRow],
    ) -> None:
        self.model, self.harmful, self.normal = model, harmful, normal
        self._ranks: dict[str, list[tuple[LayerOfOperand, int]]] = {}
        """For every module, what the next columns of B belong to, and how many they are."""
        stacked = {}
        for module in sorted({module for operand in operands for module in operand.changes}):
            having = [(i, operand.changes[module]) for i, operand in enumerate(operands) if module in operand.changes]
            stacked[module] = stack([change for _, change in having], [1.0] * len(having))
            self._ranks[module] = [(LayerOfOperand(i, layer_of(module)), change.rank) for i, change in having]
        with tempfile.TemporaryDirectory() as folder:
            write_changes(Path(folder), stacked, "")
            model.add(_ADAPTER, Path(folder))

    @property
    def places(self) -> list[LayerOfOperand]:
        """Every layer of every operand, in the order of the operands."""
        return sorted({place for ranks in self._ranks.values() for place, _ in ranks})

    def score(self, coefficients: Mapping[LayerOfOperand, float]) -> TrialScore:
        """The score with these coefficients."""
        view = AlteredModel(self.model, dict(self._scaled_factors(coefficients)))
        log_probs = in_batches(self.harmful, MAX_BATCH_TOKENS, partial(answer_log_probs, view))
        likelihoods = in_batches(self.normal, MAX_BATCH_TOKENS, partial(answer_kl, view))
        return TrialScore(mean(log_probs), mean(one.kl for one in likelihoods))

    @torch.no_grad()
    def _scaled_factors(self, coefficients: Mapping[LayerOfOperand, float]) -> Iterable[tuple[Tensor, Tensor]]:
        modules = dict(self.model.network.named_modules())
        for name, ranks in self._ranks.items():
            factor = modules[name].lora_B[_ADAPTER].weight
            columns = [c for place, rank in ranks for c in [coefficients[place]] * rank]
            padded = columns + [0.0] * (factor.shape[1] - len(columns))
            yield factor, factor * factor.new_tensor(padded)


def layer_of(module: str) -> str:
    """The number of the layer in a module's name, as text; the whole name if there is none."""
    found = _LAYER_NUMBER.search(f".{module}.")
    return found.group(1) if found else module


def _rows(model: VariantModel, config: CombineConfig, kind: PairKind) -> list[ScoredRow]:
    """The answers of one kind that every trial scores."""
    specs = config.harmful if kind == "harmful" else config.normal
    room = config.max_tokens - MIN_ANSWER_TOKENS
    pairs = {pair.id: pair for spec in specs for pair in _pairs_on_side(model, config, kind, spec)}
    fitting = [pair for pair in pairs.values() if len(model.template.prompt_ids(pair.prompt, pair.before)) <= room]
    if not fitting:
        raise ValueError(
            f"{', '.join(specs)} has no {kind} answer on the {config.side} side that fits {config.max_tokens} tokens; "
            "choose another source or side, or raise --max-tokens"
        )
    return [
        (encode_pair(model.template, pair, config.max_tokens), {_ADAPTER: 1.0})
        for pair in sorted(fitting, key=lambda pair: pair.id)[: config.pairs]
    ]


def _pairs_on_side(model: VariantModel, config: CombineConfig, kind: PairKind, spec: str) -> Sequence[PromptPair]:
    """The answered pairs of one source on the chosen side, the first ones by id."""
    answered = answered_source(spec)
    found = load_pairs(answered.spec if answered else spec, kind)
    pairs = sorted(split(found.pairs, config.side), key=lambda pair: pair.id)
    if answered:
        return write_base_answers(model, pairs[: config.pairs], config.max_tokens, name=answered.name)
    return [pair for pair in pairs if pair.answer]
