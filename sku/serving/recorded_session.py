"""A session without weights: it shows answers that were recorded before.

The record holds greedy answers of the shipped variants to the page's example prompts, with and without attacks, as
`python -m sku record` wrote them, each with its verdict and, without attack, its KL. What is not recorded raises an
error that says how to get it live.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from sku.core.attacks import NO_ATTACK, OWN_PREFILL, WITHOUT_ATTACK, ChosenAttack
from sku.core.config import DecodingConfig
from sku.core.conversation import NO_CONVERSATION, Conversation
from sku.core.jsonl import read_json_log
from sku.core.records import Answer, JudgedAnswer, Verdict
from sku.core.variants import BASE, REMOTE, SERVER, parse_variant
from sku.reporting.result_files import RECORDED_STUDY
from sku.serving.session import Session, SessionStatus
from sku.serving.streaming import ColumnState
from sku.serving.variant_catalog import CatalogEntry, list_variants

RECORDED_ANSWERS = RECORDED_STUDY.with_name("answers.jsonl")
HOW_TO_RUN_LIVE = "run it live: the README has the two commands"


class RecordedSession:
    """Answers from a record. `session.py` describes the methods."""

    def __init__(self, path: Path = RECORDED_ANSWERS, fallback_reason: str = "asked for") -> None:
        """Read the record.

        Args:
            path: JSONL, a line an answer; if there is no such file, nothing is recorded.
            fallback_reason: why no model answers, for the page.

        Raises:
            ValueError: if the record is damaged.
        """
        self._status = SessionStatus("recorded", ready=True, fallback_reason=fallback_reason)
        self._model_name = ""
        self._found: dict[tuple[str, str, ChosenAttack], JudgedAnswer] = {}
        self._kl: dict[tuple[str, str], float | None] = {}
        for number, line in enumerate(read_json_log(path), 1):
            try:
                answer, verdict = Answer(**line["answer"]), Verdict(**line["verdict"])
                self._found[answer.prompt, answer.variant, _attack_of(answer)] = JudgedAnswer(answer, verdict)
                if answer.attack == NO_ATTACK:
                    self._kl[answer.prompt, answer.variant] = line["kl"]
                self._model_name = line["model"]
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(
                    f"{path}, line {number} is damaged ({error}); make it again with `python -m sku record`"
                ) from error

    @property
    def status(self) -> SessionStatus:
        """Always ready."""
        return self._status

    @property
    def model_name(self) -> str:
        """The base model that was recorded; empty if nothing is."""
        return self._model_name

    def choices(self, owner: str | None = None) -> list[CatalogEntry]:
        """The base, and the shipped adapters and the models behind servers that are recorded."""
        known = {name for _, variant, _ in self._found for name in parse_variant(variant).names}
        servers = sorted(name for name in known if name.startswith(SERVER))
        return [
            *(choice for choice in list_variants(owner) if choice.name in known or choice.name == BASE),
            *(
                CatalogEntry(name, f"{name}, recorded", REMOTE, 0.0, "answered from another machine")
                for name in servers
            ),
        ]

    def ask(
        self,
        prompt: str,
        variants: Sequence[str],
        config: DecodingConfig,
        cancelled: Callable[[], bool] = lambda: False,
        attack: ChosenAttack = WITHOUT_ATTACK,
        before: Sequence[Conversation] = (),
    ) -> Iterator[list[ColumnState]]:
        """All columns at once: each holds the recorded answer, or the reason why there is none."""
        yield [self._column(prompt, text, config, attack, before) for text in variants]

    def answers(
        self,
        prompts: Sequence[str],
        variants: Sequence[str],
        config: DecodingConfig,
        attack: ChosenAttack = WITHOUT_ATTACK,
        before: Sequence[Conversation] = (),
    ) -> list[Answer]:
        """Recorded answers.

        Raises:
            ValueError: if one of them is not recorded.
        """
        columns = [self._column(prompt, text, config, attack, before) for prompt in prompts for text in variants]
        missing = next((column.error for column in columns if column.error), None)
        if missing:
            raise ValueError(missing)
        return [column.answer for column in columns if column.answer]

    def verdicts(self, prompt: str, texts: Sequence[str]) -> list[Verdict]:
        """The recorded verdicts.

        Raises:
            ValueError: for a text that is not recorded.
        """
        known = {(one.answer.prompt, one.answer.text): one.verdict for one in self._found.values()}
        try:
            return [known[prompt, text] for text in texts]
        except KeyError as error:
            raise ValueError(f"this answer is not recorded; {HOW_TO_RUN_LIVE}") from error

    def draws_harm(self, prompt: str) -> None:
        """Not known without weights; the recorded verdicts come at once."""

    def divergence(
        self, prompt: str, answer: str, variants: Sequence[str], before: Conversation = NO_CONVERSATION
    ) -> list[float]:
        """The recorded KL from base.

        Raises:
            ValueError: for a variant that is not recorded.
        """
        found = [self._kl.get((prompt, _normalised(text))) for text in variants]
        if any(one is None for one in found):
            raise ValueError(f"KL of these variants is not recorded; {HOW_TO_RUN_LIVE}")
        return [float(one or 0.0) for one in found]

    def lens(
        self, prompt: str, answer: str, variants: Sequence[str], before: Conversation = NO_CONVERSATION
    ) -> NoReturn:
        """Raises ValueError: the lens needs the weights."""
        raise ValueError(f"the token lens needs the weights, and this page shows recorded answers; {HOW_TO_RUN_LIVE}")

    def zero_difference(self, text: str, prompt: str) -> NoReturn:
        """Raises ValueError: the check needs the weights."""
        raise ValueError(f"the check needs the weights, and this page shows recorded answers; {HOW_TO_RUN_LIVE}")

    def _column(
        self, prompt: str, text: str, config: DecodingConfig, attack: ChosenAttack, before: Sequence[Conversation]
    ) -> ColumnState:
        if any(before):
            error = f"system prompts and follow-up questions are not recorded; {HOW_TO_RUN_LIVE}"
            return ColumnState(text, None, error=error)
        found = self._found.get((prompt, _normalised(text), attack))
        if found is None or config.temperature:
            return ColumnState(text, None, error=self._missing(prompt, text, config, attack))
        return ColumnState(text, found.answer, samples=(found.answer,))

    def _missing(self, prompt: str, text: str, config: DecodingConfig, attack: ChosenAttack) -> str:
        if prompt not in {known for known, _, _ in self._found}:
            return f"this prompt is not recorded, only the examples above are; {HOW_TO_RUN_LIVE}"
        if config.temperature:
            return f"only greedy answers are recorded; set the temperature to 0, or {HOW_TO_RUN_LIVE}"
        if (prompt, attack) not in {(known, under) for known, _, under in self._found}:
            return f"answers under the attack “{attack.attack.label}” are not recorded; {HOW_TO_RUN_LIVE}"
        part = parse_variant(text).only_part
        if part is None:
            return f"sums of adapters are not recorded; {HOW_TO_RUN_LIVE}"
        recorded = [
            parse_variant(variant).only_part
            for known, variant, under in self._found
            if (known, under) == (prompt, attack)
        ]
        at = [f"{one.coefficient or 0:g}" for one in recorded if one and one.name == part.name]
        return f"{part.name} is recorded at coefficients {', '.join(at) or 'none'} only; {HOW_TO_RUN_LIVE}"


def record_line(model: str, fingerprint: str, answer: Answer, verdict: Verdict, kl: float | None) -> str:
    """One line of the record; `kl` is None under an attack."""
    values = {"answer": dataclasses.asdict(answer), "verdict": dataclasses.asdict(verdict), "kl": kl}
    return json.dumps({"model": model, "fingerprint": fingerprint, **values}, ensure_ascii=False) + "\n"


def _attack_of(answer: Answer) -> ChosenAttack:
    return ChosenAttack(answer.attack, answer.answer_start if answer.attack == OWN_PREFILL else "")


def _normalised(text: str) -> str:
    """The variant as the record writes it: `sku@1.50` is `sku@1.5`."""
    return str(parse_variant(text))


if TYPE_CHECKING:

    def _check(session: RecordedSession) -> Session:
        return session
