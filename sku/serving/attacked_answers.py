"""Answers to a question of one's own under an attack.

An attack on the prompt changes what every variant reads, so all variants still share a batch. An attack on the model
takes one variant at a time: a thread of its own makes the attacked model, which may take half a minute, and then the
variant answers. The served model is the same throughout.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack
from queue import SimpleQueue
from typing import TypeVar, cast

from sku.core.attacks import ChosenAttack
from sku.core.config import DecodingConfig
from sku.core.conversation import NO_CONVERSATION, Conversation
from sku.core.errors import Cancelled
from sku.core.records import Answer, AskedPrompt, PromptPair
from sku.core.variants import Variant
from sku.evaluation.attacks.attack_data import AttackData, load_attack_data
from sku.evaluation.attacks.procedure import AttackContext, AttackedModel, find_ask, find_weaken
from sku.models.generation import generate_answers
from sku.models.variant_model import VariantModel
from sku.serving.streaming import ColumnState, stream_columns

_T = TypeVar("_T")
Say = Callable[[str], None]
"""Tells the visitor what a slow step does."""
WAITING = "waiting for the columns before this one"
Steps = Callable[[Callable[[], Iterator[list[ColumnState]]]], Iterator[list[ColumnState]]]
"""Runs a stream where the session runs its model."""


def asked_under_attack(model: VariantModel, prompt: str, chosen: ChosenAttack) -> AskedPrompt:
    """The prompt as an attack on the prompt words it; the prompt itself for all other attacks."""
    return worded(prompt, chosen, model) if chosen.attack.ask else AskedPrompt(prompt, prompt)


def worded(prompt: str, chosen: ChosenAttack, model: VariantModel | None = None) -> AskedPrompt:
    """The prompt as an attack on the prompt words it. Attacks that a person may choose for a question read no model."""
    ask = find_ask(chosen.attack)
    if ask is None:
        return AskedPrompt(prompt, prompt, attack=chosen.name)
    (asked,) = ask(AttackContext(cast(VariantModel, model), AttackData(())), _pair(prompt), **chosen.settings)
    return dataclasses.replace(asked, attack=chosen.name)


def answers_in_turn(
    model: VariantModel,
    prompts: Sequence[str],
    variants: Sequence[Variant],
    config: DecodingConfig,
    chosen: ChosenAttack,
    before: Sequence[Conversation] = (),
) -> list[Answer]:
    """All answers under an attack on the model: prompt by prompt, within it variant by variant.

    `before` holds the conversation of each variant before the prompts; it is empty if none has one.
    """
    by_variant = []
    for variant, own in zip(variants, before or [NO_CONVERSATION] * len(variants), strict=True):
        with _weakened(model, variant, chosen) as attacked:
            asked = [_asked_of(attacked, prompt, chosen, own) for prompt in prompts]
            by_variant.append(generate_answers(attacked.model, asked, [_under(variant, attacked)], config))
    each = range(0, len(prompts) * config.samples, config.samples)
    return [answer for i in each for answers in by_variant for answer in answers[i : i + config.samples]]


def stream_in_turn(
    model: VariantModel,
    prompt: str,
    variants: Sequence[tuple[str, Variant | str]],
    config: DecodingConfig,
    chosen: ChosenAttack,
    cancelled: Callable[[], bool],
    steps: Steps,
    before: Sequence[Conversation] = (),
) -> Iterator[list[ColumnState]]:
    """Answer under an attack on the model, column by column.

    Args:
        model: holds every adapter that `variants` name.
        prompt: the question.
        variants: name, and the variant or why there is none.
        config: length, temperature, seed and samples.
        chosen: an attack on the model.
        cancelled: asked before every token and between the steps of the attack.
        steps: runs the stream of a column.
        before: the conversation of each variant before the prompt; empty if none has one.

    Yields:
        One column a variant, as `stream_columns` does.
    """
    columns = [
        ColumnState(name, None, writing=True, doing=WAITING)
        if isinstance(variant, Variant)
        else ColumnState(name, None, error=variant)
        for name, variant in variants
    ]
    for i, (name, variant) in enumerate(variants):
        if not isinstance(variant, Variant):
            continue
        try:
            own = before[i] if before else NO_CONVERSATION
            for columns[i] in _stream_one(model, prompt, own, name, variant, config, chosen, cancelled, steps):
                yield list(columns)
        except Cancelled:
            columns[i] = ColumnState(name, None, error="stopped")
        except (ValueError, OSError) as error:
            columns[i] = ColumnState(name, None, error=str(error))
        if cancelled():
            columns = [_stopped(column) for column in columns]
            break
    yield list(columns)


def _stream_one(
    model: VariantModel,
    prompt: str,
    before: Conversation,
    name: str,
    variant: Variant,
    config: DecodingConfig,
    chosen: ChosenAttack,
    cancelled: Callable[[], bool],
    steps: Steps,
) -> Iterator[ColumnState]:
    """The column of one variant, from the making of the attacked model to the last token."""

    def doing(line: str) -> ColumnState:
        return ColumnState(name, None, writing=True, doing=line)

    yield doing(f"applying the attack “{chosen.attack.label}”")
    with ExitStack() as undo:  # outside of the thread, so that a visitor who leaves ends the attack

        def enter(say: Say, check: Callable[[], None]) -> AttackedModel:
            return undo.enter_context(_weakened(model, variant, chosen, say, check))

        attacked = yield from _on_a_thread(enter, doing, cancelled)
        asked = _asked_of(attacked, prompt, chosen, before)
        under: list[tuple[str, Variant | str]] = [(name, _under(variant, attacked))]
        for (column,) in steps(lambda: stream_columns(attacked.model, asked, under, config, cancelled)):
            yield column


def _on_a_thread(
    job: Callable[[Say, Callable[[], None]], _T], show: Callable[[str], ColumnState], cancelled: Callable[[], bool]
) -> Generator[ColumnState, None, _T]:
    """Run `job` on a thread of its own, show what it says, and return what it returns.

    Raises:
        Cancelled: if `cancelled` said so between two steps of the job. A consumer that leaves cancels it too.
    """
    lines: SimpleQueue[str | None] = SimpleQueue()
    left, done = threading.Event(), Future[_T]()

    def check() -> None:
        if left.is_set() or cancelled():
            raise Cancelled("the attack was stopped; nothing of it is left")

    def work() -> None:
        try:
            done.set_result(job(lines.put, check))
        except BaseException as error:
            done.set_exception(error)
        lines.put(None)

    thread = threading.Thread(target=work, name="attack", daemon=True)
    thread.start()
    try:
        while (line := lines.get()) is not None:
            yield show(line)
    finally:
        left.set()
        thread.join()
    return done.result()


def _weakened(
    model: VariantModel,
    variant: Variant,
    chosen: ChosenAttack,
    say: Say = lambda _: None,
    check: Callable[[], None] = lambda: None,
) -> AbstractContextManager[AttackedModel]:
    from sku.evaluation.attacks import suite  # slow to import, and attacks on the prompt do not need it

    weaken = find_weaken(chosen.attack)
    if weaken is None:
        raise ValueError(f"attack {chosen.name} changes no model; ask all variants in one batch")
    data = load_attack_data(suite.attacked_prompts(suite.AttackSources()))
    context = AttackContext(model, data, folder=suite.trained_folder(), say=say, check=check)
    return weaken(context, variant, **chosen.settings)


def _under(variant: Variant, attacked: AttackedModel) -> Variant:
    """The variant's name with the coefficients of the attacked model."""
    return dataclasses.replace(variant, coefficients=attacked.coefficients)


def _asked_of(attacked: AttackedModel, prompt: str, chosen: ChosenAttack, before: Conversation) -> AskedPrompt:
    (asked,) = attacked.ask(_pair(prompt))
    return dataclasses.replace(asked, attack=chosen.name, before=before)


def _pair(prompt: str) -> PromptPair:
    return PromptPair(prompt, "", "harmful", "asked")


def _stopped(column: ColumnState) -> ColumnState:
    return (
        dataclasses.replace(column, writing=False, doing="", error=column.error or "stopped")
        if column.writing
        else column
    )
