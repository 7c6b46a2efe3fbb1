"""Draw the rows that each term is computed on at each step. The draw is a pure function of data, seed and step.

So a resumed run sees the same rows as an uninterrupted one, and no random state needs to be saved. No model is needed.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import count, takewhile

from sku.core.config import TrainConfig
from sku.core.records import PromptPair
from sku.core.terms import TERMS, RowKind, RunsAt
from sku.data import bundled
from sku.models.base_answers import given_beginning
from sku.models.batching import MIN_ANSWER_TOKENS, EncodedPair, encode_pair
from sku.models.chat_template import ChatTemplate

WrittenAnswers = Mapping[RowKind, Mapping[str, Sequence[str]]]
"""For each kind of rows that the base writes, its answers to each prompt, by `AskedPrompt.key`."""
WRITTEN_KINDS: frozenset[RowKind] = frozenset({"alternative", "evasive", "anti_sample"})


@dataclass(frozen=True, order=True)
class TermStream:
    """The rows that several terms may share: the same answers, run with the same coefficients of tau."""

    kind: RowKind
    runs_at: tuple[RunsAt, ...] = ("trained",)
    share: float = 1.0
    """Rows, as a share of the batch size."""

    @classmethod
    def of(cls, term: str) -> TermStream:
        """The stream on which a term is computed."""
        return cls(TERMS[term].rows, TERMS[term].runs_at, TERMS[term].share)


@dataclass(frozen=True)
class TermRows:
    """The rows of one stream at one step."""

    pairs: list[PromptPair]
    encoded: list[EncodedPair]
    other_encoded: list[EncodedPair] = field(default_factory=list)
    """The same answers after another, normal prompt; empty if no term of the stream has `needs_other_prompt`."""
    lengths: tuple[int, ...] = ()
    """The number of scored tokens of every row of the step, with those of the other processes."""


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
        self.given_safe = [_safe_pair(pair) for pair in with_safe]
        self.good = self.normal + self.given_safe
        self.paired = [_with_safe_answer(pair) for pair in self.harmful] if config.refusals else with_safe
        self.written: WrittenAnswers = written or {}
        self.answered = {
            kind: [pair for pair in self.harmful if answers.get(pair.asked.key)]
            for kind, answers in self.written.items()
        }
        """Maps each kind of rows that the base wrote to the harmful pairs whose prompt it answered."""
        self.wanted = sorted({TermStream.of(term) for term in config.terms})
        self._own_answers: dict[str, set[str]] = {}
        """Maps each prompt id to the harmful answers to that prompt."""
        for pair in self.harmful:
            self._own_answers.setdefault(pair.prompt_id, set()).add(pair.answer)
        self._check(harmful, normal)
        self._order = lru_cache(8)(self._shuffled)

    @staticmethod
    def check_equal_shares(config: TrainConfig, processes: int) -> None:
        """Check that processes can share every step equally.

        Raises:
            ValueError: if they cannot; the message says which batch sizes they can share.
        """
        shares = {TermStream.of(term).share for term in config.terms}

        def shared(batch_size: int) -> bool:
            return not any(int(batch_size * share) % processes for share in shares)

        if processes > 1 and not shared(config.batch_size):
            least = next(size for size in count(processes, processes) if shared(size))
            raise ValueError(
                f"{processes} processes cannot share batches of {config.batch_size} prompts equally; set --batch-size "
                f"to a multiple of {least}, or start another number of processes"
            )

    def at(self, step: int, process: int = 0, processes: int = 1) -> dict[TermStream, TermRows]:
        """The rows of one step, for each stream that the method uses.

        Args:
            step: the step, counted from 0.
            process: the number of this process, counted from 0.
            processes: the number of processes that share the step (`check_equal_shares`). Each takes its part of the
                same draw, so the rows of a step do not depend on this number.
        """
        drawn = {}
        for stream in self.wanted:
            pairs = self._draw(stream.kind, step, max(1, int(self.config.batch_size * stream.share)))
            share = len(pairs) // processes
            mine = slice(process * share, (process + 1) * share)
            encode = self.refusal_row if stream.kind == "refused" else self._row
            encoded = [encode(pair, step) for pair in pairs]
            lengths = tuple(len(row.answer) for row in encoded)
            drawn[stream] = TermRows(pairs[mine], encoded[mine], lengths=lengths)
            if self._needs_other_prompt(stream):
                prompts = self._other_prompts(len(pairs), step)[mine]
                drawn[stream] = self._with_other_prompts(drawn[stream], prompts)
        return drawn

    def _row(self, pair: PromptPair, _step: int) -> EncodedPair:
        """Prompt and answer. In a normal answer, a beginning that was given to the base counts as prompt."""
        row = encode_pair(self.template, pair, self.config.max_tokens)
        if pair.kind != "normal" or not (beginning := given_beginning(pair)):
            return row
        same = zip(self.template.answer_start_ids(beginning), row.answer[:-1], strict=False)
        given = sum(1 for _ in takewhile(lambda tokens: tokens[0] == tokens[1], same))
        return replace(row, prompt_tokens=row.prompt_tokens + given)

    def refusal_row(self, pair: PromptPair, step: int) -> EncodedPair:
        """A refusal, after some tokens of the harmful answer, which count as prompt and are not scored."""
        generator = random.Random(f"{self.config.seed}:refused:{step}:{pair.id}")
        refusal = generator.choice(bundled.refusals_for(pair.category))
        prompt, given = self.template.prompt_ids(pair.prompt, pair.before), generator.choice(self.config.given_tokens)
        room = self.config.max_tokens - len(prompt) - MIN_ANSWER_TOKENS
        answer = self.template.answer_ids(pair.answer)[: -len(self.template.end_ids)][: max(0, min(given, room))]
        before = prompt + answer
        taught = self.template.answer_ids(refusal, follows_text=bool(answer))
        return EncodedPair(tuple((before + taught)[: self.config.max_tokens]), len(before))

    def _needs_other_prompt(self, stream: TermStream) -> bool:
        return any(TERMS[term].needs_other_prompt for term in self.config.terms if TermStream.of(term) == stream)

    def _other_prompts(self, count: int, step: int) -> list[PromptPair]:
        generator = random.Random(f"{self.config.seed}:other prompt:{step}")
        return [generator.choice(self.normal) for _ in range(count)]

    def _with_other_prompts(self, rows: TermRows, others: Sequence[PromptPair]) -> TermRows:
        """The rows with the same answer tokens after other prompts. A long prompt does not shorten the answer."""
        encoded = []
        for other, row in zip(others, rows.encoded, strict=True):
            prompt_ids = self.template.prompt_ids(other.prompt, other.before)
            encoded.append(EncodedPair((*prompt_ids, *row.answer), len(prompt_ids)))
        return replace(rows, other_encoded=encoded)

    def _draw(self, kind: RowKind, step: int, size: int) -> list[PromptPair]:
        if kind in ("harmful", "normal", "good", "given_safe", "refused"):
            return self._next("harmful" if kind == "refused" else kind, step, size)
        generator = random.Random(f"{self.config.seed}:{kind}:{step}")
        if kind == "paired":
            return [row for pair in self._next("paired", step, size) for row in (pair, _safe_pair(pair))]
        if kind == "safe":
            return [_safe_pair(pair) for pair in self._next("paired", step, size)]
        if kind == "declined":
            return [row for pair in self._next("normal", step, size) for row in (pair, _refused(pair))]
        if kind in WRITTEN_KINDS:
            pairs = self._next(kind, step, size)
            rows = [replace(pair, answer=generator.choice(self.written[kind][pair.asked.key])) for pair in pairs]
            if kind != "alternative":
                return rows
            return [row for turn in zip(pairs, rows, strict=True) for row in turn]
        prompts = self._next("harmful", step, size)
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

    def _next(self, name: str, step: int, size: int) -> list[PromptPair]:
        """The next `size` pairs. Every pair is drawn once before any is drawn again."""
        named = {
            "harmful": self.harmful,
            "paired": self.paired,
            "normal": self.normal,
            "good": self.good,
            "given_safe": self.given_safe,
        }
        pairs = (named | self.answered)[name]
        positions = range(step * size, (step + 1) * size)
        return [pairs[self._order(name, len(pairs), i // len(pairs))[i % len(pairs)]] for i in positions]

    def _shuffled(self, name: str, count: int, epoch: int) -> list[int]:
        order = list(range(count))
        random.Random(f"{self.config.seed}:{name}:{epoch}").shuffle(order)
        return order

    def _fits(self, pair: PromptPair) -> bool:
        return len(self.template.prompt_ids(pair.prompt, pair.before)) + MIN_ANSWER_TOKENS <= self.config.max_tokens

    def _check(self, given_harmful: Sequence[PromptPair], given_normal: Sequence[PromptPair]) -> None:
        kinds = {stream.kind for stream in self.wanted}
        if not self.wanted:
            raise ValueError(
                f"all terms of {self.config.method} have weight 0; give one of them a weight with --weight"
            )
        if kinds & {"harmful", "random", "mismatched", "refused", "safe", *WRITTEN_KINDS} and not self.harmful:
            raise ValueError(self._why_none("harmful", given_harmful))
        other = any(TERMS[term].needs_other_prompt for term in self.config.terms)
        if (other or kinds & {"normal", "mismatched", "declined"}) and not self.normal:
            raise ValueError(self._why_none("normal", given_normal))
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
        if "given_safe" in kinds and not self.given_safe:
            raise ValueError(
                f"{self.config.method} needs harmful pairs with a safe answer; choose a source that has them, such as "
                "bundled, or drop the term with --weight safe_answers=0"
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
        lengths = [len(self.template.prompt_ids(pair.prompt, pair.before)) for pair in given if pair.answer]
        if not lengths:
            return f"none of the {len(given)} {kind} training pairs has an answer; choose data with answers"
        return (
            f"all {len(lengths)} {kind} training prompts are too long for max_tokens {self.config.max_tokens}: the "
            f"shortest takes {min(lengths)} tokens; set --max-tokens to {min(lengths) + MIN_ANSWER_TOKENS} or more, or "
            "choose other data"
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
