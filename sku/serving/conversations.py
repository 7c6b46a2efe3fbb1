"""Asks several questions in turn: every variant continues its own answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sku.core.attacks import WITHOUT_ATTACK, ChosenAttack
from sku.core.config import DecodingConfig
from sku.core.conversation import NO_CONVERSATION, Conversation
from sku.core.records import Answer
from sku.core.thinking import split_thinking
from sku.serving.session import Session


def answer_in_turn(
    session: Session,
    prompts: Sequence[str],
    variants: Sequence[str],
    config: DecodingConfig,
    attack: ChosenAttack = WITHOUT_ATTACK,
    before: Conversation = NO_CONVERSATION,
) -> Iterator[tuple[list[Answer], list[Conversation]]]:
    """Answer the prompts one after another.

    Args:
        session: answers.
        prompts: the questions of one conversation, in order.
        variants: each has a conversation of its own.
        config: how answers are written. If a variant gives several samples, the first one is continued.
        attack: the attack under which every answer is given.
        before: what comes before the first prompt, the same for all variants.

    Yields:
        For each prompt, the answers of all variants, and the conversation in which each variant gave its own.

    Raises:
        ValueError: as `Session.answers`.
    """
    conversations = [before] * len(variants)
    for prompt in prompts:
        answers = session.answers([prompt], variants, config, attack, conversations)
        yield answers, conversations
        firsts = answers[:: config.samples]
        conversations = [one.continued(prompt, said(answer)) for one, answer in zip(conversations, firsts, strict=True)]


def said(answer: Answer) -> str:
    """An answer as the next turn sees it: with the beginning that an attack gave, without reasoning."""
    return answer.answer_start + split_thinking(answer.text).answer
