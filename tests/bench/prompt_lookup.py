"""Would drafts by prompt lookup pay? They guess the next tokens from the last place where the same few tokens stood.

The base's recorded greedy answers show how many guessed tokens would be accepted; no text is written for that. Then the
CPU time of a step over 1 to 7 tokens is measured, in turn, with 100 tokens in the cache. A draft of k tokens costs a
step over k + 1. The gain is the time of steps of one token each over the time of the steps that are left; the tokens a
step are the most that it could be.

Run: `python -m tests.bench.prompt_lookup`. It prints one line for each n-gram size and draft length. `--accept-only`
loads no weights.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from statistics import mean, median
from typing import Any, NamedTuple

import torch
from transformers.cache_utils import DynamicCache

from sku.core.attacks import NO_ATTACK
from sku.core.jsonl import read_json_log
from sku.core.records import Answer
from sku.models.chat_template import ChatTemplate
from sku.models.checkpoint_files import load_tokenizer
from sku.models.pretrained import DEFAULT_BASE, provision_base
from sku.models.variant_model import VariantModel, load_variant_model
from sku.serving.recorded_session import RECORDED_ANSWERS

NGRAMS, DRAFTS = (2, 3), (2, 3, 4, 5, 6)
CACHED_TOKENS = 100


class Step(NamedTuple):
    """One decoding step: how many tokens were guessed, and how many of them were right."""

    drafted: int
    accepted: int


def draft(tokens: Sequence[int], ngram: int, length: int) -> Sequence[int]:
    """What followed the last earlier place of the last `ngram` tokens, at most `length` tokens."""
    end = tuple(tokens[-ngram:])
    for start in range(len(tokens) - ngram - 1, -1, -1):
        if tuple(tokens[start : start + ngram]) == end:
            return tokens[start + ngram : start + ngram + length]
    return ()


def steps_with_drafts(prompt: Sequence[int], answer: Sequence[int], ngram: int, length: int) -> list[Step]:
    """The steps in which a greedy answer would have been written. Each also writes one token that was not guessed."""
    steps, done = [], 0
    while done < len(answer):
        guessed = draft([*prompt, *answer[:done]], ngram, min(length, len(answer) - done - 1))
        right = next((i for i, token in enumerate(guessed) if token != answer[done + i]), len(guessed))
        steps.append(Step(len(guessed), right))
        done += right + 1
    return steps


def recorded_answers(template: ChatTemplate) -> list[tuple[list[int], list[int]]]:
    """Prompt and answer as tokens, for each recorded answer of the base without an attack."""
    lines = (Answer(**line["answer"]) for line in read_json_log(RECORDED_ANSWERS))
    found = [one for one in lines if one.variant == "base" and one.attack == NO_ATTACK]
    return [(template.prompt_ids(one.prompt), template.answer_ids(one.text)[: one.tokens]) for one in found]


@torch.no_grad()
def step_seconds(model: VariantModel, columns: int, rounds: int) -> dict[int, float]:
    """CPU seconds of a step over 1 to 7 tokens in so many columns: medians over rounds in turn."""
    widths = range(1, max(DRAFTS) + 2)
    times: dict[int, list[float]] = {width: [] for width in widths}
    cache: Any = DynamicCache(config=model.network.config)
    ids = torch.arange(1000, 1000 + CACHED_TOKENS + len(widths)).expand(columns, -1)
    with model.rows([{}] * columns) as network:
        network(input_ids=ids[:, :CACHED_TOKENS], cache=cache, use_cache=True, logits_to_keep=1)
        for turn in range(rounds + 1):
            for width in widths:
                began = time.process_time()
                network(input_ids=ids[:, -width:], cache=cache, use_cache=True)
                if turn:  # the first sets up what later ones reuse
                    times[width].append(time.process_time() - began)
                cache.crop(CACHED_TOKENS)
    return {width: median(taken) for width, taken in times.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--accept-only", action="store_true")
    given = parser.parse_args()
    folder = provision_base(DEFAULT_BASE)
    answers = recorded_answers(ChatTemplate.of(load_tokenizer(folder)))
    seconds: dict[int, dict[int, float]] = {}
    if not given.accept_only:
        model = load_variant_model(folder)
        seconds = {columns: step_seconds(model, columns, given.rounds) for columns in (1, 3)}
        for columns, taken in seconds.items():
            print(f"{columns} columns, ms: " + ", ".join(f"{n}: {1000 * one:.1f}" for n, one in taken.items()))
    print(f"{len(answers)} answers, {sum(len(answer) for _, answer in answers)} tokens")
    for ngram in NGRAMS:
        for length in DRAFTS:
            steps = [step for pair in answers for step in steps_with_drafts(*pair, ngram, length)]
            written, drafted = sum(step.accepted + 1 for step in steps), sum(step.drafted for step in steps)
            accepted = sum(step.accepted for step in steps) / max(1, drafted)
            gains = [
                f"gain with {columns} columns {written * taken[1] / sum(taken[1 + step.drafted] for step in steps):.2f}"
                for columns, taken in seconds.items()
            ]
            share = mean(step.drafted > 0 for step in steps)
            parts = [f"n {ngram}, k {length}: {accepted:.2f} of guesses right", f"{share:.2f} of steps guess"]
            print(", ".join([*parts, f"{written / len(steps):.2f} tokens a step", *gains]))


if __name__ == "__main__":
    main()
