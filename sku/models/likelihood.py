"""Log-probabilities of given answers under variants, and the KL divergence of variants from the base on them.

Logits take the most memory (49152 numbers a token for the default base), so where only totals are wanted, at most
`MAX_LOGIT_ROWS` rows of them exist at once. Knows no judge and no data source.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from sku.models.batching import Batch, EncodedPair, collate, encode_answer
from sku.models.coefficients import CoefficientKey, nonzero_coefficients
from sku.models.divergence import kl_from_base
from sku.models.gating import gated_rows
from sku.models.hidden_states import answer_hidden_states
from sku.models.variant_model import VariantModel

ScoredRow = tuple[EncodedPair, Mapping[str, float]]
"""A pair and the coefficients it is scored under."""
Result = TypeVar("Result")
MAX_LOGIT_ROWS = 128
"""Tokens whose logits exist at once: 25 MB for the default base, and enough for efficient matrix products."""
MAX_KEPT_BYTES = 2**28
"""About 110,000 tokens of the default base, or 30,000 of one with 7 billion parameters in half precision."""
MAX_BATCH_TOKENS = 4096
"""Tokens of a batch, padding included."""
CPU_BATCH_TOKENS = 512
"""The same for answers to different prompts on a CPU. Small batches hold rows of more similar length, and their hidden
states stay in the caches: 512 tokens take 0.7 of the time of 4096."""


class AnswerLikelihood(NamedTuple):
    """How likely one given answer is under one variant."""

    log_prob: float
    """Mean over the scored tokens, nats per token."""
    tokens: int
    """Number of scored tokens; includes the end token unless there was no room for it."""
    kl: float
    """KL(base || variant) over the whole vocabulary, mean over the scored tokens, nats per token; at least 0."""


class BaseStates:
    """The base's hidden states that predict given answers, kept while there is room.

    Variants of different adapters are scored one after the other. With these states, the base reads an answer once for
    all of them.
    """

    def __init__(self, max_bytes: int = MAX_KEPT_BYTES) -> None:
        """Start without states.

        Args:
            max_bytes: once so many are kept, further states are computed each time.
        """
        self._room = max_bytes
        self._kept: dict[EncodedPair, Tensor] = {}

    def __contains__(self, row: EncodedPair) -> bool:
        return row in self._kept

    def __getitem__(self, row: EncodedPair) -> Tensor:
        """`[N, H]`"""
        return self._kept[row]

    def keep(self, row: EncodedPair, states: Tensor) -> None:
        """Keep the states `[N, H]` of an answer."""
        if row not in self._kept and states.nbytes <= self._room:
            self._kept[row] = states.clone()  # a view would keep its whole batch in memory
            self._room -= states.nbytes


class ScoredTokens(NamedTuple):
    """The scored tokens of a batch, flattened."""

    logits: Tensor
    """`[N, V]`"""
    targets: Tensor
    """`[N]`"""
    rows: Tensor
    """`[N]`, the batch row of each token."""


def answer_hidden_rows(network: Any, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """The hidden states `[N, H]` that predict each answer token, with targets `[N]` and batch rows `[N]`."""
    body = network.base_model  # the transformer without its head
    hidden = body(input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False).last_hidden_state
    rows, positions = batch.answer_mask[:, 1:].nonzero(as_tuple=True)  # position t predicts token t + 1
    return hidden[rows, positions], batch.input_ids[rows, positions + 1], rows


def output_logits(network: Any, hidden: Tensor) -> Tensor:
    """Logits `[N, V]` of hidden states `[N, H]`, computed as in the network's own forward."""
    logits: Tensor = network.get_output_embeddings()(hidden)
    cap = getattr(network.config, "final_logit_softcapping", None)  # Gemma 2
    return torch.tanh(logits / cap) * cap if cap else logits


def answer_token_logits(network: Any, batch: Batch) -> ScoredTokens:
    """Logits of the answer tokens only; skipping the prompt saves most of the output head's cost."""
    hidden, targets, rows = answer_hidden_rows(network, batch)
    return ScoredTokens(output_logits(network, hidden), targets, rows)


@torch.no_grad()
def answer_log_probs(
    model: VariantModel, rows: Sequence[EncodedPair], coefficients: Sequence[Mapping[str, float]]
) -> list[float]:
    """Mean log-probability a token of each answer under its own row of coefficients, as one batch.

    Args:
        model: the base and its adapters.
        rows: B encoded pairs.
        coefficients: B rows of coefficients.

    Returns:
        B numbers in nats per token, end token included.

    Raises:
        ValueError: if a row has no token to score.
    """
    return [float(one.mean()) for one in token_log_probs(model, rows, coefficients)]


@torch.no_grad()
def token_log_probs(
    model: VariantModel, rows: Sequence[EncodedPair], coefficients: Sequence[Mapping[str, float]]
) -> list[Tensor]:
    """Log-probability of every token of each answer in nats: B tensors `[N]`. Otherwise as `answer_log_probs`."""
    _scored_tokens(rows)
    return log_probs_of_states(model, rows, answer_hidden_states(model, rows, coefficients))


@torch.no_grad()
def log_probs_of_states(model: VariantModel, rows: Sequence[EncodedPair], states: Sequence[Tensor]) -> list[Tensor]:
    """Log-probability of every token of each answer in nats, B tensors `[N]`, from its hidden states `[1 + N, H]`."""
    sizes = _scored_tokens(rows)
    hidden = torch.cat([mine[:-1] for mine in states])  # each token predicts the next
    targets = torch.tensor([token for row in rows for token in row.answer], device=model.device)
    parts = zip(torch.split(hidden, MAX_LOGIT_ROWS), torch.split(targets, MAX_LOGIT_ROWS), strict=True)
    nll = torch.cat([cross_entropy(output_logits(model.network, h).float(), t, reduction="none") for h, t in parts])
    return [-one for one in torch.split(nll, sizes)]


@torch.no_grad()
def answer_kl(
    model: VariantModel,
    rows: Sequence[EncodedPair],
    coefficients: Sequence[Mapping[str, float]],
    base_states: BaseStates | None = None,
) -> list[AnswerLikelihood]:
    """Likelihood of each answer under its own row of coefficients, and KL(base || variant) on its tokens.

    One forward serves all rows; a pair that comes with several coefficients shares one row of the base.

    Args:
        model: the base and its adapters.
        rows: B encoded pairs, which may repeat.
        coefficients: B rows of coefficients.
        base_states: those of earlier calls with this model, to which this call adds its own.

    Returns:
        B likelihoods; the KL of the base is exactly 0.

    Raises:
        ValueError: if a row has no token to score.
    """
    _scored_tokens(rows)
    gated = gated_rows(model, rows, coefficients)
    asked = [(row, nonzero_coefficients(c)) for row, c in zip(rows, gated, strict=True)]
    groups: dict[EncodedPair, list[CoefficientKey]] = {row: [()] for row in rows}  # the base's row comes first
    for row, signed in dict.fromkeys(asked):
        groups[row] += [signed] if signed else []
    base_states = BaseStates(max_bytes=0) if base_states is None else base_states
    computed = [(row, key) for row, group in groups.items() for key in group if key or row not in base_states]
    found: dict[tuple[EncodedPair, CoefficientKey], AnswerLikelihood] = {}
    with model.rows([dict(key) for _, key in computed]) as network:
        states = dict(
            zip(computed, _predicting_states(network, model.device, [row for row, _ in computed]), strict=True)
        )
        for row, group in groups.items():
            base = base_states[row] if (row, ()) not in states else states[row, ()]
            hidden = torch.stack([base, *(states[row, key] for key in group[1:])])
            targets = torch.tensor(row.answer, device=model.device)
            found |= zip([(row, key) for key in group], _divergences(network, hidden, targets), strict=True)
            base_states.keep(row, base)
    return [found[one] for one in asked]


def _predicting_states(network: Any, device: torch.device, rows: Sequence[EncodedPair]) -> tuple[Tensor, ...]:
    """The hidden states `[N, H]` that predict each answer token of each row, in one forward."""
    if not rows:
        return ()
    hidden, _, _ = answer_hidden_rows(network, collate(rows).to(device))
    return torch.split(hidden, _scored_tokens(rows))


def base_log_probs(model: VariantModel, pairs: Sequence[tuple[str, str]]) -> list[float]:
    """Mean log-probability a token of answers under the base; an empty answer still has its end token.

    Args:
        model: its adapters are not used.
        pairs: prompts with answers; an answer that exceeds the model's context is cut.

    Raises:
        ValueError: if a prompt leaves no room for an answer.
    """
    items: list[ScoredRow] = [
        (encode_answer(model.template, prompt, text, model.context), {}) for prompt, text in pairs
    ]
    max_tokens = best_batch_tokens(items, model.device)
    return in_batches(items, max_tokens, lambda rows, coefficients: answer_log_probs(model, rows, coefficients))


def _scored_tokens(rows: Sequence[EncodedPair]) -> list[int]:
    counts = [len(row.answer) for row in rows]
    if not all(counts):
        raise ValueError(f"row {counts.index(0)} has no token to score; every pair needs an answer")
    return counts


def _divergences(network: Any, hidden: Tensor, targets: Tensor) -> list[AnswerLikelihood]:
    """One answer under G variants, the base first, from hidden states `[G, N, H]` and targets `[N]`."""
    group, tokens, _ = hidden.shape
    step = max(1, MAX_LOGIT_ROWS // group)
    sums = torch.zeros(group, 2, dtype=torch.float64)
    for part, wanted in zip(torch.split(hidden, step, 1), torch.split(targets, step), strict=True):
        logits = output_logits(network, part.flatten(0, 1)).view(group, len(wanted), -1)  # (G, step, V)
        for i, mine in enumerate(logits):
            sums[i, 0] -= float(cross_entropy(mine.float(), wanted, reduction="sum"))
            sums[i, 1] += float(kl_from_base(mine, logits[0]).sum()) if i else 0.0
    sums[:, 1].clamp_(min=0.0)  # rounding can push a KL of nearly 0 below it; NaN stays NaN
    return [AnswerLikelihood(log_prob, tokens, kl) for log_prob, kl in (sums / tokens).tolist()]


def in_batches(
    items: Sequence[ScoredRow],
    max_tokens: int,
    score: Callable[[list[EncodedPair], list[Mapping[str, float]]], Sequence[Result]],
) -> list[Result]:
    """Apply `score` to all items in batches of similar length; results are in the order of `items`.

    Args:
        items: any number; those of one pair are put next to each other, so that most share its base row.
        max_tokens: the size of a batch, padding included; a longer item is a batch of its own.
        score: such as `partial(answer_kl, model)`.
    """
    found: dict[int, Result] = {}
    for places in by_length(items, max_tokens):
        batch = [items[i] for i in places]
        found |= zip(places, score([row for row, _ in batch], [c for _, c in batch]), strict=True)
    return [found[i] for i in range(len(items))]


def best_batch_tokens(items: Sequence[ScoredRow], device: torch.device) -> int:
    """The size of the batches in which answers are read fastest. Those to one prompt share it, in a large batch."""
    prompts = {row.ids[: row.prompt_tokens] for row, _ in items}
    return CPU_BATCH_TOKENS if device.type == "cpu" and 2 * len(prompts) > len(items) else MAX_BATCH_TOKENS


def by_length(items: Sequence[ScoredRow], max_tokens: int) -> list[list[int]]:
    """Indices of the items of each batch, the longest first, so that running out of memory shows at once."""
    batches: list[list[int]] = []
    room = 0
    for place in sorted(range(len(items)), key=lambda i: (-len(items[i][0].ids), items[i][0].ids)):
        if not batches or len(batches[-1]) == room:
            room = max(1, max_tokens // len(items[place][0].ids))
            batches.append([])
        batches[-1].append(place)
    return batches
