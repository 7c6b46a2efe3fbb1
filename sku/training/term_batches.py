"""Draw the rows that each term is computed on at each step. The draw is a pure function of data, seed and step.

So a resumed run sees the same rows as an uninterrupted one, and no random state needs to be saved. No model is needed.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from sku.core.config import TrainConfig
from sku.core.records import PromptPair
from sku.core.terms import TERMS, RowKind, RunsAt
from sku.data import bundled
from sku.models.batching import MIN_ANSWER_TOKENS, EncodedPair, encode_answer
from sku.models.chat_template import ChatTemplate

WrittenAnswers = Mapping[RowKind, Mapping[str, Sequence[str]]]
"""For each kind of rows that the base writes, its answers to each prompt."""
WRITTEN_KINDS: frozenset[RowKind] = frozenset({"alternative", "evasive", "anti_sample"})


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
    other_pairs: list[PromptPair] = field(default_factory=list)
    """The same answers after another, normal prompt; empty if no term of the stream has `needs_other_prompt`."""
    other_encoded: list[EncodedPair] = field(default_factory=list)


class TermBatches:
    """The pairs of a run, from which the rows of each step are drawn."""

    def __init__(
        self,
        harmful: Sequence[PromptPair],
        normal: Sequence[PromptPair],
        config: TrainConfig,
        template: ChatTemplate,
        written: WrittenAnswers | None = None,
    ) -> None:
        """Sort the pairs.

        Args:
            harmful: harmful pairs.
            normal: normal pairs.
            config: the settings of the run.
            template: encodes prompts and answers.
            written: the base's own answers to harmful prompts, for each kind of rows that consists of them.
        """
        self.config = config
        self.template = template
        self.harmful = [pair for pair in harmful if pair.answer and self._fits(pair)]
        self.normal = [pair for pair in normal if pair.answer and self._fits(pair)]
        self.left_out = len(harmful) + len(normal) - len(self.harmful) - len(self.normal)
        """The number of pairs that have no answer, or a prompt that is too long for `max_tokens`."""
        with_safe = [pair for pair in self.harmful if pair.safe_answer]
        self.good = self.normal + [_safe_pair(pair) for pair in with_safe]
        self.paired = [_with_safe_answer(pair) for pair in self.harmful] if config.refusals else with_safe
        self.written: WrittenAnswers = written or {}
        self.answered = {
            kind: [pair for pair in self.harmful if answers.get(pair.prompt)] for kind, answers in self.written.items()
        }
        """Maps each kind of rows that the base wrote to the harmful pairs whose prompt it answered."""
        self.wanted = sorted({TermStream.of(term) for term in config.terms})
        self._own_answers: dict[str, set[str]] = {}
        """Maps each prompt id to the harmful answers to that prompt."""
        for pair in self.harmful:
            self._own_answers.setdefault(pair.prompt_id, set()).add(pair.answer)
        self._check()
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
            mine = slice(process * share, (process + 1) * share)
            rows = [
                encode_answer(self.template, pair.prompt, pair.answer, self.config.max_tokens) for pair in pairs[mine]
            ]
            drawn[stream] = TermRows(pairs[mine], rows)
            if self._needs_other_prompt(stream):
                prompts = self._other_prompts(len(pairs), step)[mine]
                drawn[stream] = self._with_other_prompts(drawn[stream], prompts)
        return drawn

    def _needs_other_prompt(self, stream: TermStream) -> bool:
        return any(TERMS[term].needs_other_prompt for term in self.config.terms if TermStream.of(term) == stream)

    def _other_prompts(self, count: int, step: int) -> list[str]:
        generator = random.Random(f"{self.config.seed}:other prompt:{step}")
        return [generator.choice(self.normal).prompt for _ in range(count)]

    def _with_other_prompts(self, rows: TermRows, prompts: Sequence[str]) -> TermRows:
        """The rows with the same answer tokens after other prompts. A long prompt does not shorten the answer."""
        pairs = [replace(pair, prompt=prompt) for pair, prompt in zip(rows.pairs, prompts, strict=True)]
        encoded = []
        for prompt, row in zip(prompts, rows.encoded, strict=True):
            prompt_ids = self.template.prompt_ids(prompt)
            encoded.append(EncodedPair((*prompt_ids, *row.answer), len(prompt_ids)))
        return replace(rows, other_pairs=pairs, other_encoded=encoded)

    def _draw(self, kind: RowKind, step: int) -> list[PromptPair]:
        if kind in ("harmful", "normal", "good"):
            return self._next(kind, step)
        generator = random.Random(f"{self.config.seed}:{kind}:{step}")
        if kind == "paired":
            return [row for pair in self._next("paired", step) for row in (pair, _safe_pair(pair))]
        if kind == "safe":
            return [_safe_pair(pair) for pair in self._next("paired", step)]
        if kind == "declined":
            return [row for pair in self._next("normal", step) for row in (pair, _refused(pair))]
        if kind in WRITTEN_KINDS:
            pairs = self._next(kind, step)
            rows = [replace(pair, answer=generator.choice(self.written[kind][pair.prompt])) for pair in pairs]
            if kind != "alternative":
                return rows
            return [row for turn in zip(pairs, rows, strict=True) for row in turn]
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
        named = {"harmful": self.harmful, "paired": self.paired, "normal": self.normal, "good": self.good}
        pairs = (named | self.answered)[name]
        size = self.config.batch_size
        positions = range(step * size, (step + 1) * size)
        return [pairs[self._order(name, len(pairs), i // len(pairs))[i % len(pairs)]] for i in positions]

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
            raise ValueError(
                f"all terms of {self.config.method} have weight 0; give one of them a weight with --weight"
            )
        if kinds & {"harmful", "random", "mismatched", "safe", *WRITTEN_KINDS} and not self.harmful:
            raise ValueError(f"no harmful training pair fits {limit} tokens; raise max_tokens or choose other data")
        other = any(TERMS[term].needs_other_prompt for term in self.config.terms)
        if (other or kinds & {"normal", "mismatched", "declined"}) and not self.normal:
            raise ValueError(f"no normal training pair fits {limit} tokens; raise max_tokens or choose other data")
        if "good" in kinds and not self.good:
            raise ValueError("fine-tuning needs normal or safe answers, but there are none; choose a source with some")
        for kind in sorted(kinds & WRITTEN_KINDS):
            if not self.answered.get(kind):
                raise ValueError(
                    f"the base wrote no usable {kind.replace('_', '-')} answer to any harmful prompt; add harmful pairs"
                )
        if kinds & {"paired", "safe"} and not self.paired:
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


def _with_safe_answer(pair: PromptPair) -> PromptPair:
    """The pair with its safe answer, or else with a bundled refusal."""
    return pair if pair.safe_answer else replace(pair, safe_answer=_refused(pair).answer)


def _refused(pair: PromptPair) -> PromptPair:
    """The prompt with a bundled refusal as its answer. The same prompt always gets the same refusal."""
    refusals = bundled.refusals()
    return replace(pair, answer=refusals[int(pair.prompt_id, 16) % len(refusals)])


def _safe_pair(pair: PromptPair) -> PromptPair:
    return replace(pair, answer=str(pair.safe_answer))
