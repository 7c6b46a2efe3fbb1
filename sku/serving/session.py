"""What a screen or a command may ask of a model, whatever answers: weights here, a GPU elsewhere, or a record.

A new ability is declared here once; mypy then names every class that lacks it (`_check` at the end of each module).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from sku.core.attacks import WITHOUT_ATTACK, ChosenAttack
from sku.core.config import DecodingConfig
from sku.core.conversation import NO_CONVERSATION, Conversation
from sku.core.records import Answer, ResultRow, Verdict
from sku.models.arithmetic import Arithmetic
from sku.serving.streaming import ColumnState
from sku.serving.variant_catalog import CatalogEntry

if TYPE_CHECKING:
    from sku.evaluation.attacks.suite import AttackSources
    from sku.evaluation.plan import PromptSources
    from sku.serving.token_lens import TokenLens


@dataclass(frozen=True)
class SessionStatus:
    """Whether questions are answered now, and by what."""

    mode: Literal["live", "recorded"]
    """live: the model writes; recorded: answers that it wrote before are shown."""
    ready: bool
    """Whether an answer begins at once, without waiting for the weights."""
    progress: str = ""
    """What loading does now; empty once it is done."""
    error: str | None = None
    """Why loading failed."""
    arithmetic: Arithmetic = "fp32"
    """In which arithmetic the answers are written."""
    fallback_reason: str = ""
    """Why the preferred way to answer was not taken, such as no weights or no GPU; empty if it was."""


class Session(Protocol):
    """What a screen needs.

    Where a method takes variants, they are named as a person writes them, such as `sku@1.0`. Every method raises
    ValueError for an unknown variant and OSError if weights cannot be had.
    """

    @property
    def status(self) -> SessionStatus:
        """Whether questions are answered now, and by what."""

    @property
    def model_name(self) -> str:
        """The base model's name, such as `smollm2-135m`."""

    def choices(self, owner: str | None = None) -> list[CatalogEntry]:
        """The variants that can be asked: base, shipped adapters, finished runs; with an `owner`, only their runs."""

    def ask(
        self,
        prompt: str,
        variants: Sequence[str],
        config: DecodingConfig,
        cancelled: Callable[[], bool] = lambda: False,
        attack: ChosenAttack = WITHOUT_ATTACK,
        before: Sequence[Conversation] = (),
    ) -> Iterator[list[ColumnState]]:
        """Stream the answers of several variants to one prompt; a variant that fails leaves the others running.

        Under an attack on the model the columns are written one after another, otherwise all in one batch.

        Args:
            prompt: the question.
            variants: one column each.
            config: length, temperature, seed, and number of samples.
            cancelled: asked before every token; True ends the answers where they are.
            attack: the attack under which every variant answers.
            before: the conversation of each variant before the prompt; empty if none has one.

        Yields:
            One column a variant; while answers are being written, only the first sample of each.

        Raises:
            ValueError: for an empty or overlong prompt, or a conversation that the base's template does not take.
        """

    def answers(
        self,
        prompts: Sequence[str],
        variants: Sequence[str],
        config: DecodingConfig,
        attack: ChosenAttack = WITHOUT_ATTACK,
        before: Sequence[Conversation] = (),
    ) -> list[Answer]:
        """All answers of all variants to all prompts under an attack: prompt by prompt, within it variant by variant.

        `before` holds the conversation of each variant before the prompts; it is empty if none has one.

        Raises:
            ValueError: for an empty or overlong prompt, or a conversation that the base's template does not take.
        """

    def verdicts(self, prompt: str, texts: Sequence[str]) -> list[Verdict]:
        """The default judge's verdicts on several answers to one prompt."""

    def draws_harm(self, prompt: str) -> bool | None:
        """Whether the prompt is likely to draw harmful text, said before a word is written; None if it is not known.

        It is known for the base that the shipped probe was fitted on (`models/prompt_probe.py`).
        """

    def divergence(
        self, prompt: str, answer: str, variants: Sequence[str], before: Conversation = NO_CONVERSATION
    ) -> Sequence[float | None]:
        """KL(base || variant) on one answer of the base, in nats per token, without attack: one number a variant, or
        None where it cannot be measured.

        `before` is the conversation in which the base gave that answer.

        Raises:
            ValueError: for a prompt as long as the model's context.
        """

    def lens(
        self, prompt: str, answer: str, variants: Sequence[str], before: Conversation = NO_CONVERSATION
    ) -> TokenLens:
        """The log-probability of each token of `answer` under the base, and how each variant changes it. No attack.

        `before` is the conversation in which the answer was given.

        Raises:
            ValueError: for an empty answer, or a prompt as long as the model's context.
        """

    def zero_difference(self, text: str, prompt: str) -> float:
        """The largest logit difference between the base and variant `text`, all its coefficients at 0, computed now.

        Raises:
            RuntimeError: if the base in memory is not the one that was loaded.
        """


class ModelSession(Session, Protocol):
    """What commands need besides: sessions that hold the weights themselves."""

    def score(self, pairs: Sequence[tuple[str, str]], variants: Sequence[str], max_tokens: int) -> list[list[float]]:
        """The mean log-probability a token of given answers: one list a pair, in it one number a variant.

        Args:
            pairs: prompts with answers.
            variants: the models that score them.
            max_tokens: of prompt and answer together; a longer answer is cut.

        Raises:
            ValueError: for a prompt longer than `max_tokens`.
        """

    def judged(self, pairs: Sequence[tuple[str, str]], judge: str = "embedded") -> list[Verdict]:
        """The verdicts of the named judge on prompts with answers.

        Raises:
            ValueError: for an unknown judge, or a prompt that leaves no room in the model's context.
        """

    def evaluate(
        self,
        variants: Sequence[str],
        sources: PromptSources,
        side: str | None,
        decoding: DecodingConfig,
        judge: str,
        work: Path,
        similarity: str = "minilm",
        report: Callable[[dict[str, Any]], None] = lambda _: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> list[ResultRow]:
        """Measure variants, one row each, as `evaluation.evaluate.evaluate_variants` describes.

        Raises:
            ValueError: for an unknown judge, metric, source or side.
            Cancelled: if `cancelled` said so; what is done is kept in `work`.
        """

    def attack(
        self,
        variants: Sequence[str],
        attacks: tuple[str, ...],
        sources: AttackSources,
        decoding: DecodingConfig,
        judge: str,
        work: Path,
        report: Callable[[dict[str, Any]], None] = lambda _: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> list[ResultRow]:
        """Attack variants: one row for each under each attack, as `evaluation.attacks.suite` describes.

        The base and a random vector like the first variant are attacked too.

        Args:
            variants: what is attacked.
            attacks: names in `core.attacks.ATTACKS`.
            sources: which prompts are asked.
            decoding: how answers are written; some attacks set their own temperature and number of samples.
            judge: the name of the judge.
            work: the folder that keeps what was found.
            report: called after every batch.
            cancelled: asked before every batch and between the steps of an attack.

        Raises:
            ValueError: for an unknown judge or source, or a source without prompts that can be attacked.
            Cancelled: if `cancelled` said so; what is done is kept in `work`.
        """
