"""One batched decode for any mix of prompts, variants and samples: streaming, stoppable, fair.

Fair: with a temperature, every variant of a prompt and sample draws from the same Gumbel noise, so answers differ
because weights do. Rows that must come out equal (coefficient 0 and the base) are computed once. Knows no page and no
judge.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import DynamicCache

from sku.core.config import DecodingConfig
from sku.core.records import Answer, StopReason, digest
from sku.core.variants import Variant
from sku.models.batching import left_pad, token_positions
from sku.models.chat_template import common_tokens
from sku.models.hidden_states import CoefficientKey, nonzero_coefficients
from sku.models.variant_model import VariantModel

_SHARED = 8
"""Tokens that prompts must have in common before it pays to read them once."""


@dataclass
class PartialAnswer:
    """One answer while it is being written."""

    prompt: str
    variant: Variant
    sample: int
    tokens: list[int] = field(default_factory=list)
    stopped: StopReason | None = None
    """None while it goes on."""


@dataclass
class _Row:
    """What is computed: one row of the batch, which may serve several answers."""

    prompt_ids: list[int]
    coefficients: dict[str, float]
    noise: str
    """Rows with the same key share their noise."""
    answers: list[PartialAnswer]


def stream_answers(
    model: VariantModel,
    prompts: Sequence[str],
    variants: Sequence[Variant],
    config: DecodingConfig,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[list[PartialAnswer]]:
    """Write answers of every variant to every prompt, all in one batch.

    Args:
        model: holds every adapter that `variants` name.
        prompts: questions as a person asks them.
        variants: who answers.
        config: length, temperature, seed and samples.
        cancelled: asked before every token; True ends the decode with what there is.

    Yields:
        After every token the same list, prompt by prompt, variant by variant, sample by sample, with tokens appended.

    Raises:
        ValueError: if there is nothing to answer, or a prompt and its answer exceed the model's context.
    """
    if not prompts or not variants:
        raise ValueError("nothing to answer: give at least one prompt and one variant")
    writings = [PartialAnswer(p, v, s) for p in prompts for v in variants for s in range(config.samples)]
    rows = _rows(model, writings, config)
    longest = max(len(row.prompt_ids) for row in rows) + config.max_new_tokens
    if longest > model.context:
        raise ValueError(
            f"prompt and answer take up to {longest} tokens and the model holds {model.context}; "
            "shorten the prompt or the answer"
        )
    yield writings  # before the first token, so that a page can show its columns
    noise = _Noise(rows, config, model.device)
    cache, read = _shared_beginning(model, rows)
    step_ids, mask = left_pad([row.prompt_ids[read:] for row in rows], model.device)
    mask = torch.cat([mask.new_ones(len(rows), read), mask], dim=1)
    for _ in range(config.max_new_tokens):
        if cancelled():
            break
        logits = _forward(model, rows, step_ids, mask, cache)
        chosen = noise.choose(rows, logits)  # (R,)
        alive = []
        for i, (row, token) in enumerate(zip(rows, chosen.tolist(), strict=True)):
            if _append(row, token, model.template.stop_ids, config.max_new_tokens):
                alive.append(i)
        yield writings
        if not alive:
            return
        if len(alive) < len(rows):
            keep = torch.tensor(alive, device=model.device)
            cache.batch_select_indices(keep)
            chosen, mask, rows = chosen[keep], mask[keep], [rows[i] for i in alive]
        step_ids = chosen[:, None]
        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
    for row in rows:
        for writing in row.answers:
            writing.stopped = writing.stopped or "cancelled"
    yield writings


def generate_answers(
    model: VariantModel, prompts: Sequence[str], variants: Sequence[Variant], config: DecodingConfig
) -> list[Answer]:
    """All answers, once they are written. Takes and raises what `stream` does."""
    return collect_answers(model, stream_answers(model, prompts, variants, config), config)


def collect_answers(model: VariantModel, states: Iterable[list[PartialAnswer]], config: DecodingConfig) -> list[Answer]:
    """The answers of the last of a stream's `states`."""
    began = time.perf_counter()
    writings: list[PartialAnswer] = []
    for writings in states:  # noqa: B007 (the last state is the result)
        pass
    return answer_records(model, writings, config.seed, time.perf_counter() - began)


def answer_records(model: VariantModel, writings: Sequence[PartialAnswer], seed: int, seconds: float) -> list[Answer]:
    """The answers so far as records; `seconds` is the time of the whole batch."""
    return [
        Answer(
            variant=str(w.variant),
            coefficient=w.variant.coefficient,
            prompt=w.prompt,
            sample=w.sample,
            seed=seed,
            text=model.template.text(w.tokens),
            tokens=len(w.tokens),
            seconds=seconds,
            stopped=w.stopped or "cancelled",
        )
        for w in writings
    ]


def _rows(model: VariantModel, writings: Sequence[PartialAnswer], config: DecodingConfig) -> list[_Row]:
    rows: dict[object, _Row] = {}
    for writing in writings:
        sample = str(writing.sample) if config.temperature else ""  # greedy samples are one row
        noise = digest(str(config.seed), writing.prompt, sample)
        key = (writing.prompt, nonzero_coefficients(writing.variant.coefficients), noise)
        if key not in rows:
            rows[key] = _Row(model.template.prompt_ids(writing.prompt), writing.variant.coefficients, noise, [])
        rows[key].answers.append(writing)
    return list(rows.values())


def _shared_beginning(model: VariantModel, rows: Sequence[_Row]) -> tuple[DynamicCache, int]:
    """Read what all prompts have in common once for rows of like coefficients.

    Returns:
        The cache of all rows, and how many tokens of each prompt it holds; at least one is left to read.
    """
    if getattr(model.network.config, "sliding_window", None):  # counts the padding behind the beginning too
        return DynamicCache(config=model.network.config), 0
    kinds = {nonzero_coefficients(row.coefficients): row for row in rows}
    firsts = list(kinds.values())
    shared = common_tokens([row.prompt_ids[:-1] for row in rows])
    common = rows[0].prompt_ids[:shared]
    cache, read = _opening(model, kinds, common)
    if len(kinds) < len(rows) and shared - read >= _SHARED:
        _read(model, firsts, common[read:], cache)
        read = shared
    if read:
        place = {kind: i for i, kind in enumerate(kinds)}
        picked = [place[nonzero_coefficients(row.coefficients)] for row in rows]
        cache.batch_select_indices(torch.tensor(picked, device=model.device))
    return cache, read


def _opening(
    model: VariantModel, kinds: Mapping[CoefficientKey, _Row], common: Sequence[int]
) -> tuple[DynamicCache, int]:
    """A cache with a row for each of `kinds` and what the template begins with in it, if `common` begins with that."""
    firsts, opening, config = list(kinds.values()), model.template.opening_ids, model.network.config
    if len(opening) < _SHARED or common[: len(opening)] != list(opening):
        return DynamicCache(config=config), 0
    cache = model.beginnings.cache(
        config,
        [(opening, kind) for kind in kinds],
        lambda places: _read(model, [firsts[i] for i in places], opening, DynamicCache(config=config)),
    )
    return cache, len(opening)


def _read(model: VariantModel, rows: Sequence[_Row], ids: Sequence[int], cache: DynamicCache) -> DynamicCache:
    """The cache, with the same tokens read in every row."""
    batch = torch.tensor([ids] * len(rows), device=model.device)
    _forward(model, rows, batch, batch.new_ones(len(rows), cache.get_seq_length() + len(ids)), cache)
    return cache


@torch.no_grad()
def _forward(model: VariantModel, rows: Sequence[_Row], ids: Tensor, mask: Tensor, cache: DynamicCache) -> Tensor:
    with model.rows([row.coefficients for row in rows]) as network:
        out = network(
            input_ids=ids,
            attention_mask=mask,
            position_ids=token_positions(mask, ids.shape[1]),
            cache=cache,
            use_cache=True,
            logits_to_keep=1,
        )
    logits: Tensor = out.logits[:, -1].float()  # (R, V)
    return logits


def _append(row: _Row, token: int, stops: frozenset[int], limit: int) -> bool:
    """Add a token to all answers of a row; whether the row goes on."""
    for writing in row.answers:
        writing.tokens.append(token)
        if token in stops:
            writing.stopped = "end"
        elif len(writing.tokens) >= limit:
            writing.stopped = "length"
    return row.answers[0].stopped is None


class _Noise:
    """Gumbel-max sampling: argmax(logits / temperature + noise) is a draw from softmax(logits / temperature)."""

    def __init__(self, rows: Sequence[_Row], config: DecodingConfig, device: torch.device) -> None:
        self.temperature = config.temperature
        self.device = device
        self.draws = {row.noise: torch.Generator().manual_seed(int(row.noise[:15], 16)) for row in rows}

    def choose(self, rows: Sequence[_Row], logits: Tensor) -> Tensor:
        """The next token of every row: `[R]` from `[R, V]`."""
        if not self.temperature:
            return logits.argmax(-1)
        vocabulary = logits.shape[-1]
        # drawn on the CPU, so that a seed means the same everywhere
        noise = {
            key: -torch.empty(vocabulary).exponential_(generator=draw).log().to(self.device)
            for key, draw in self.draws.items()
            if any(row.noise == key for row in rows)
        }
        return (logits / self.temperature + torch.stack([noise[row.noise] for row in rows])).argmax(-1)
