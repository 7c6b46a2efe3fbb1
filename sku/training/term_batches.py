"""Draw the rows that each term is computed on at each step. The draw is a pure function of data, seed and step.

So a resumed run sees the same rows as an uninterrupted one, and no random state needs to be saved. No model is needed.
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
    """The rows that several terms may share: the same answers, run with the same coefficients of tau."""

    kind: RowKind
    runs_at: tuple[RunsAt, ...] = ("trained",)

    @classmethod
    def of(cls, term: str) -> TermStream:
        """The stream on which a term is computed."""
        return cls(TERMS[term].rows, TERMS[term].runs_at)


@dataclass(frozen=True)
class TermRows:
    """The rows of one stream at one step."""

    pairs: list[PromptPair]
    encoded: list[EncodedPair]


class TermBatches:
    """The pairs of a run, from which the rows of each step are drawn."""

    def __init__(
        self, harmful: Sequence[PromptPair], normal: Sequence[PromptPair], config: TrainConfig, template: ChatTemplate
    ) -> None:
        self.config = config
        self.template = template
        self.harmful = [pair for pair in harmful if pair.answer and self._fits(pair)]
        self.normal = [pair for pair in normal if pair.answer and self._fits(pair)]
        self.left_out = len(harmful) + len(normal) - len(self.harmful) - len(self.normal)
        """The number of pairs that have no answer, or a prompt that is too long for `max_tokens`."""
        with_safe = [pair for pair in self.harmful if pair.safe_answer]
        self.good = self.normal + [_safe_pair(pair) for pair in with_safe]
        self.paired = [_with_safe_answer(pair) for pair in self.harmful] if config.refusals else with_safe
        self.wanted = sorted({TermStream.of(term) for term in config.terms})
        self._own_answers: dict[str, set[str]] = {}
        """Maps each prompt id to the harmful answers to that prompt."""
        for pair in self.harmful:
            self._own_answers.setdefault(pair.prompt_id, set()).add(pair.answer)
        self._check(harmful, normal)
        self._order = lru_cache(8)(self._shuffled)

    def at(self, step: int, process: int = 0, processes: int = 1) -> dict[TermStream, TermRows]:
        """The rows of one step, for each stream that the method uses.

        Args:
            step: the step, counted from 0.
            process: the number of this process, counted from 0.
            processes: the number of processes that share the step. Each takes its part of the same draw, so the rows
                of a step do not depend on this number.
        """
        drawn = {}
        for stream in self.wanted:
            pairs = self._draw(stream.kind, step)
            share = len(pairs) // processes
            own_pairs = pairs[process * share : (process + 1) * share]
            rows = [
                encode_answer(self.template, pair.prompt, pair.answer, self.config.max_tokens) for pair in own_pairs
            ]
            drawn[stream] = TermRows(own_pairs, rows)
        return drawn

    def _draw(self, kind: RowKind, step: int) -> list[PromptPair]:
        if kind in ("harmful", "normal", "good"):
            return self._next(kind, step)
        generator = random.Random(f"{self.config.seed}:{kind}:{step}")
        if kind == "paired":
            return [row for pair in self._next("paired", step) for row in (pair, _safe_pair(pair))]
        prompts = self._next("harmful", step)
        if kind == "mismatched":
            return [replace(pair, answer=generator.choice(self.normal).answer) for pair in prompts]
        return [
            replace(pair, answer=self._other_answer(pair, generator))
            for pair in prompts
            for _ in range(self.config.disassociation_answers)
        ]

    def _other_answer(self, pair: PromptPair, generator: random.Random) -> str:
        own_answers = self._own_answers[pair.prompt_id]
        while (other := generator.choice(self.harmful).answer) in own_answers:  # two prompts may share an answer
            pass
        return other

    def _next(self, name: str, step: int) -> list[PromptPair]:
        """The next `batch_size` pairs. Every pair is drawn once before any is drawn again."""
        pairs = {"harmful": self.harmful, "paired": self.paired, "normal": self.normal, "good": self.good}[name]
        size = self.config.batch_size
        positions = range(step * size, (step + 1) * size)
        return [pairs[self._order(name, len(pairs), i // len(pairs))[i % len(pairs)]] for i in positions]

    def _shuffled(self, name: str, count: int, epoch: int) -> list[int]:
        order = list(range(count))
        random.Random(f"{self.config.seed}:{name}:{epoch}").shuffle(order)
        return order

    def _fits(self, pair: PromptPair) -> bool:
        return len(self.template.prompt_ids(pair.prompt)) + MIN_ANSWER_TOKENS <= self.config.max_tokens

    def _check(self, given_harmful: Sequence[PromptPair], given_normal: Sequence[PromptPair]) -> None:
        kinds = {stream.kind for stream in self.wanted}
        if not self.wanted:
            raise ValueError(
                f"all terms of {self.config.method} have weight 0; give one of them a weight with --weight"
            )
        if kinds & {"harmful", "random", "mismatched"} and not self.harmful:
            raise ValueError(self._why_none("harmful", given_harmful))
        if kinds & {"normal", "mismatched"} and not self.normal:
            raise ValueError(self._why_none("normal", given_normal))
        if "good" in kinds and not self.good:
            raise ValueError("fine-tuning needs normal or safe answers, but there are none; choose a source with some")
        if "paired" in kinds and not self.paired:
            raise ValueError(
                f"{self.config.method} needs harmful pairs with a safe answer to the same prompt; choose a source that "
                "has them, such as bundled, or name the column with #safe_answer=COLUMN"
            )
        all_answers = {pair.answer for pair in self.harmful}
        if "random" in kinds and all_answers in self._own_answers.values():
            raise ValueError(
                "random disassociation needs harmful answers of other prompts, but one prompt already has all of them; "
                "add prompts, or use method sku_no_disassociation"
            )

    def _why_none(self, kind: str, given: Sequence[PromptPair]) -> str:
        """Why none of the pairs that were given can be trained on, and what to do."""
        if not given:
            return f"there is no {kind} training pair; choose other data, or leave out fewer categories"
        lengths = [len(self.template.prompt_ids(pair.prompt)) for pair in given if pair.answer]
        if not lengths:
            return f"none of the {len(given)} {kind} training pairs has an answer; choose data with answers"
        return (
            f"all {len(lengths)} {kind} training prompts are too long for max_tokens {self.config.max_tokens}: the "
            f"shortest takes {min(lengths)} tokens; set --max-tokens to {min(lengths) + MIN_ANSWER_TOKENS} or more, or "
            "choose other data"
        )


def _with_safe_answer(pair: PromptPair) -> PromptPair:
    """The pair with its safe answer, or else with a bundled refusal. The same prompt always gets the same refusal."""
    if pair.safe_answer:
        return pair
    refusals = bundled.refusals()
    return replace(pair, safe_answer=refusals[int(pair.prompt_id, 16) % len(refusals)])


def _safe_pair(pair: PromptPair) -> PromptPair:
    return replace(pair, answer=str(pair.safe_answer))
