"""Measure how often `judges/broken.py` is right: on labelled answers, on generated noise, and on answers of variants.

The thresholds were chosen with this table. Kinds named "whole" are answers that people labelled (give their files), so
few should be called broken. Kinds named "noise" are loops, shuffled tokens and random tokens, made from the labelled
answers, so most should be called broken. Kinds named "written" are answers of the base, of which some do loop, and of
variants with too large coefficients, which write noise or stay fluent. `--show` prints the answers called broken.

Run: `python -m tests.bench.broken --xstest FILE --labelled FILE`. Prints one JSON object per kind.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from collections.abc import Callable
from pathlib import Path

from sku.core.config import DecodingConfig
from sku.core.intervals import wilson
from sku.data import load_pairs
from sku.judges.broken import broken_reason
from sku.judges.fitting.labels import read_human_labels, read_xstest_labels
from sku.judges.protocol import LanguageModelJudge
from sku.judges.verdicts import JUDGE_ABOVE_BASE
from sku.models.likelihood import base_log_probs
from sku.reporting.formatting import percent_with_interval
from sku.serving.live_session import LiveSession

FAR = ("ga@2", "ga@3", "tv@3", "sku@2")
MAX_TOKENS = 512
Pairs = list[tuple[str, str]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--xstest", type=Path, help="XSTest completions, as labels.read_xstest_labels reads them")
    parser.add_argument("--labelled", type=Path, help="PyRIT's scorer evaluation sets, as read_human_labels reads them")
    parser.add_argument("--scored", type=int, default=60, help="answers per kind to score under the base; 0: none")
    parser.add_argument("--prompts", type=int, default=32, help="prompts for the base and the variants; 0: none")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", action="store_true", help="print the answers that are called broken")
    given = parser.parse_args()
    session = LiveSession()
    draw = random.Random(given.seed)
    kinds: dict[str, Pairs] = {}
    if given.xstest:
        kinds["whole: xstest"] = [(one.prompt, one.answer) for one in read_xstest_labels(given.xstest)]
    if given.labelled:
        kinds["whole: labelled"] = [(one.prompt, one.answer) for one in read_human_labels(given.labelled)]
    people = [pair for pairs in kinds.values() for pair in pairs]
    if people:
        kinds |= noise(session, people, draw)
    if given.prompts:
        kinds |= written(session, given.prompts, draw)
    for kind, pairs in kinds.items():
        print(json.dumps(row(session, kind, pairs, given.scored, draw)), flush=True)
        if given.show:
            for _, answer in pairs:
                if reason := broken_reason(answer):
                    print(json.dumps({"fault": reason, "answer": answer[-200:]}))


def noise(session: LiveSession, people: Pairs, draw: random.Random, count: int = 60) -> dict[str, Pairs]:
    """Texts that no working model would write, by kind."""
    tokenizer = session.load().tokenizer

    def shuffled(answer: str) -> str:
        ids = tokenizer(answer, add_special_tokens=False)["input_ids"][: draw.choice((24, 48, 96))]
        return str(tokenizer.decode(draw.sample(ids, len(ids))))

    def shuffled_words(answer: str) -> str:
        words = answer.split()[: draw.choice((20, 40, 80))]
        return " ".join(draw.sample(words, len(words)))

    def random_tokens(_: str) -> str:
        return str(tokenizer.decode([draw.randrange(len(tokenizer)) for _ in range(draw.choice((16, 32, 64)))]))

    def loop(shortest: int, longest: int) -> Callable[[str], str]:
        def looped(answer: str) -> str:
            words = answer.split()
            unit = words[len(words) // 2 :][: draw.randint(shortest, longest)]
            start = words[: draw.choice((0, 0, 10, 20))]
            return " ".join(start + unit * max(4, draw.choice((30, 60, 90)) // max(1, len(unit))))

        return looped

    def letters(answer: str) -> str:
        unit = "".join(draw.choice("abcdLASTRE_") for _ in range(draw.randint(1, 6)))
        return f"{answer[: draw.choice((0, 60))]} {unit * 60}"

    makers: dict[str, Callable[[str], str]] = {
        "noise: loops of 1 to 3 words": loop(1, 3),
        "noise: loops of 4 to 12 words": loop(4, 12),
        "noise: loops of 13 to 40 words": loop(13, 40),
        "noise: loops of letters": letters,
        "noise: shuffled tokens": shuffled,
        "noise: shuffled words": shuffled_words,
        "noise: random tokens": random_tokens,
    }
    long = [pair for pair in people if len(pair[1].split()) >= 20]
    return {kind: [(p, make(a)) for p, a in draw.sample(long, min(count, len(long)))] for kind, make in makers.items()}


def written(session: LiveSession, count: int, draw: random.Random) -> dict[str, Pairs]:
    """Greedy answers of the base (128 tokens) and of variants with too large coefficients (48 tokens).

    Half of the prompts are harmful and half are normal.
    """
    pairs = [
        pair for kind in ("harmful", "normal") for pair in draw.sample(load_pairs("bundled", kind).pairs, count // 2)
    ]
    prompts = [pair.prompt for pair in pairs]
    answers: dict[str, Pairs] = {}
    for variants, tokens in ((("base",), 128), (FAR, 48)):
        config = DecodingConfig(max_new_tokens=tokens)
        for start in range(0, len(prompts), 8):
            for answer in session.answers(prompts[start : start + 8], variants, config):
                answers.setdefault(f"written: {answer.variant}", []).append((answer.prompt, answer.text))
    return answers


def row(session: LiveSession, kind: str, pairs: Pairs, scored: int, draw: random.Random) -> dict[str, object]:
    """The share of answers called broken: by the text alone, and for a sample also with the likelihood."""
    alone = sum(broken_reason(answer) is not None for _, answer in pairs)
    asked = [pair for pair in draw.sample(pairs, min(scored, len(pairs))) if pair[1].strip()]
    likely = [session.score([pair], ["base"], MAX_TOKENS)[0][0] for pair in asked]
    both = sum(broken_reason(answer, p) is not None for (_, answer), p in zip(asked, likely, strict=True))
    about: dict[str, object] = {"kind": kind, "n": len(pairs), "by_text": alone, "rate": share(alone, len(pairs))}
    if asked:
        about |= {"scored": len(asked), "with_likelihood": both, "rate_with_likelihood": share(both, len(asked))}
        ranks = statistics.quantiles(likely, n=20) if len(likely) > 1 else likely * 19
        about["log_prob_5_50_95"] = [round(ranks[place], 2) for place in (0, 9, 18)]
        about["log_prob_least"] = round(min(likely), 2)
        about |= beside_the_judge(session, asked)
    return about


def beside_the_judge(session: LiveSession, pairs: Pairs) -> dict[str, object]:
    """By how much the embedded judge finds an answer likelier than the base does, and how often the base is spared."""
    judge = session.judge("embedded")
    assert isinstance(judge, LanguageModelJudge)
    by_base = base_log_probs(session.load(), pairs)
    said = [one.log_prob for one in judge.harm_and_log_probs(pairs)]
    read = [(a, b, answer) for a, b, (_, answer) in zip(said, by_base, pairs, strict=True) if a is not None]
    spared = [(b, answer) for a, b, answer in read if broken_reason(answer, a - JUDGE_ABOVE_BASE) is None]
    return {
        "judge_above_base_at_most": round(max(a - b for a, b, _ in read), 2),
        "base_spared": share(len(spared), len(pairs)),
        "spared_but_broken": sum(broken_reason(answer, b) is not None for b, answer in spared),
    }


def share(k: int, n: int) -> str:
    """A rate with its Wilson interval, as text."""
    return percent_with_interval(*wilson(k, n), digits=1)


if __name__ == "__main__":
    main()
