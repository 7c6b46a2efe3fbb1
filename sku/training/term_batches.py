"""The rows that each term is computed on at each step: a pure function of data, seed and step.

A resumed run therefore sees the same rows as an uninterrupted one, and no random state has to be saved. Knows no model.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from sku.core.config import TrainConfig
from sku.core.methods import TERMS, RowKind, RunsAt
from sku.core.records import PromptPair
from sku.data import bundled
from sku.models.batching import MIN_ANSWER_TOKENS, EncodedPair, encode_answer
from sku.models.chat_template import ChatTemplate


@dataclass(frozen=True, order=True)
class TermStream:
    """Rows that terms share in a forward: the same answers, run at the same coefficients."""

    kind: RowKind
    runs_at: tuple[RunsAt, ...] = ("trained",)

    @classmethod
    def of(cls, term: str) -> TermStream:
        """The stream that a term is computed on."""
        return cls(TERMS[term].rows, TERMS[term].runs_at)


@dataclass(frozen=True)
class TermRows:
    """The rows of one stream at one step."""

    pairs: list[PromptPair]
    encoded: list[EncodedPair]


class TermBatches:
    """The pairs of a run, and the draw of each step."""

    def __init__(
        self, harmful: Sequence[PromptPair], normal: Sequence[PromptPair], config: TrainConfig, template: ChatTemplate
    ) -> None:
        self.config = config
        self.template = template
        self.harmful = [pair for pair in harmful if pair.answer and self._fits(pair)]
        self.normal = [pair for pair in normal if pair.answer and self._fits(pair)]
        self.left_out = len(harmful) + len(normal) - len(self.harmful) - len(self.normal)
        """How many pairs have no answer, or a prompt too long for `max_tokens`."""
        with_safe = [pair for pair in self.harmful if pair.safe_answer]
        self.good = self.normal + [_safe_pair(pair) for pair in with_safe]
        self.paired = [_with_safe_answer(pair) for pair in self.harmful] if config.refusals else with_safe
        self.wanted = sorted({TermStream.of(term) for term in config.terms})
        self._own: dict[str, set[str]] = {}
        """Prompt id to the harmful answers of that prompt."""
        for pair in self.harmful:
            self._own.setdefault(pair.prompt_id, set()).add(pair.answer)
        self._check()
        self._order = lru_cache(8)(self._shuffled)

    def at(self, step: int, process: int = 0, processes: int = 1) -> dict[TermStream, TermRows]:
        """The rows of each stream that the method uses.

        Args:
            step: from 0.
            process: which of the processes asks.
            processes: how many share the step. Each takes its part of the same draw, so their number changes no row.
        """
        drawn = {}
        for stream in self.wanted:
            pairs = self._draw(stream.kind, step)
            share = len(pairs) // processes
            mine = pairs[process * share : (process + 1) * share]
            rows = [encode_answer(self.template, pair.prompt, pair.answer, self.config.max_tokens) for pair in mine]
            drawn[stream] = TermRows(mine, rows)
        return drawn

    def _draw(self, name: str, step: int) -> list[PromptPair]:
        if name in ("harmful", "normal", "good"):
            return self._next(name, step)
        chance = random.Random(f"{self.config.seed}:{name}:{step}")
        if name == "paired":
            return [one for pair in self._next("paired", step) for one in (pair, _safe_pair(pair))]
        prompts = self._next("harmful", step)
        if name == "mismatched":
            return [replace(pair, answer=chance.choice(self.normal).answer) for pair in prompts]
        return [
            replace(pair, answer=self._other_answer(pair, chance))
            for pair in prompts
            for _ in range(self.config.disassociation_answers)
        ]

    def _other_answer(self, pair: PromptPair, chance: random.Random) -> str:
        own = self._own[pair.prompt_id]
        while (other := chance.choice(self.harmful).answer) in own:  # two prompts may share an answer
            pass
        return other

    def _next(self, name: str, step: int) -> list[PromptPair]:
        """The next `batch_size` pairs. Every pair is drawn once before any is drawn again."""
        pairs = {"harmful": self.harmful, "paired": self.paired, "normal": self.normal, "good": self.good}[name]
        size = self.config.batch_size
        places = range(step * size, (step + 1) * size)
        return [pairs[self._order(name, len(pairs), i // len(pairs))[i % len(pairs)]] for i in places]

    def _shuffled(self, name: str, count: int, epoch: int) -> list[int]:
        order = list(range(count))
        random.Random(f"{self.config.seed}:{name}:{epoch}").shuffle(order)
        return order

    def _fits(self, pair: PromptPair) -> bool:
        return len(self.template.prompt_ids(pair.prompt)) + MIN_ANSWER_TOKENS <= self.config.max_tokens

    def _check(self) -> None:
        kinds = {stream.kind for stream in self.wanted}
        limit = self.config.max_tokens
        if not self.wanted:
            raise ValueError(f"all terms of {self.config.method} have weight 0; give one a weight with --weight")
        if kinds & {"harmful", "random", "mismatched"} and not self.harmful:
            raise ValueError(f"no harmful training pair fits {limit} tokens; raise max_tokens or choose other data")
        if kinds & {"normal", "mismatched"} and not self.normal:
            raise ValueError(f"no normal training pair fits {limit} tokens; raise max_tokens or choose other data")
        if "good" in kinds and not self.good:
            raise ValueError("fine-tuning needs normal or safe answers; choose a source that has them")
        if "paired" in kinds and not self.paired:
            raise ValueError(
                f"{self.config.method} needs harmful pairs with a safe answer to the same prompt; choose a source that "
                "has them, such as bundled, or name the column with #safe_answer=COLUMN"
            )
        every = {pair.answer for pair in self.harmful}
        if "random" in kinds and every in self._own.values():
            raise ValueError(
                "random disassociation needs harmful answers of other prompts, but one prompt has every answer there "
                "is; add prompts, or use method sku_no_disassociation"
            )


def _with_safe_answer(pair: PromptPair) -> PromptPair:
    """The pair, with a bundled refusal if it has no safe answer. The same prompt always gets the same refusal."""
    if pair.safe_answer:
        return pair
    refusals = bundled.refusals()
    return replace(pair, safe_answer=refusals[int(pair.prompt_id, 16) % len(refusals)])


def _safe_pair(pair: PromptPair) -> PromptPair:
    return replace(pair, answer=str(pair.safe_answer))
