"""Measure what was forgotten, by who wrote the harmful answer: the change of its log-probability from base.

The answers come from held-out prompts of four sources: the bundled pairs, the base's own answers to AdvBench and
Do-Not-Answer after a complying beginning, the human-labelled answers of PyRIT, and preferences of PKU-SafeRLHF. The
first and the last have safe answers to the same prompts too. Neither sampling nor a judge is involved.

Run: `python -m tests.bench.forgetting --data FOLDER`. Prints a table in Markdown, in nats per token; intervals are
bootstraps over prompts. Takes about five minutes on two cores.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from sku.core.intervals import paired_bootstrap
from sku.core.records import PromptPair
from sku.data import load_pairs
from sku.data.dataset import PREFILLED
from sku.data.splits import split
from sku.models.base_answers import write_base_answers
from sku.serving.live_session import LiveSession
from sku.study.study import DATA_FILES, PREFERENCE_COLUMNS, PREFERENCES

VARIANTS = ("sku@0.5", "sku@0.8", "keep@2", "ga@1")
MAX_TOKENS, OWN_TOKENS, MAX_PAIRS = 160, 64, 120


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder that the study was given")
    parser.add_argument("-v", dest="variants", action="append", help="a variant, instead of the shipped ones")
    given = parser.parse_args()
    session, variants = LiveSession(), ["base", *(given.variants or VARIANTS)]
    print(f"| harmful answers by | {' | '.join(f'`{name}`' for name in variants[1:])} |")
    print("| --- " * len(variants) + "|")
    for writer, pairs in sources(session, given.data).items():
        changes = changes_from_base(session, pairs, variants)
        print(f"| {writer} ({len(pairs)} prompts) | {' | '.join(changes)} |", flush=True)
        with_safe = [pair for pair in pairs if pair.safe_answer]
        if with_safe:
            safe = changes_from_base(session, with_safe, variants, safe=True)
            print(f"| safe answers to the same prompts ({len(with_safe)}) | {' | '.join(safe)} |", flush=True)


def sources(session: LiveSession, data: Path) -> dict[str, list[PromptPair]]:
    """Held-out harmful pairs by who wrote the answers."""
    files = {name: f"{name}:{data / file}" for name, file in DATA_FILES.items()}
    asked = [pair for name in ("advbench", "do_not_answer") for pair in held_out(files[name], 30)]
    return {
        "the project, as in training": held_out("bundled"),
        "the base itself, after a complying beginning": write_base_answers(
            session.load(), asked, OWN_TOKENS, name=PREFILLED
        ),
        "other models, labelled by people (PyRIT)": held_out(files["labelled"]),
        "other models (PKU-SafeRLHF)": held_out(f"{data / PREFERENCES}#{PREFERENCE_COLUMNS}"),
    }


def held_out(spec: str, limit: int = MAX_PAIRS) -> list[PromptPair]:
    """One pair for each test prompt that leaves room for an answer, the first by id."""
    pairs: Iterable[PromptPair] = split(load_pairs(spec, "harmful").pairs, "test")
    short = {pair.prompt_id: pair for pair in pairs if len(pair.prompt) < 3 * MAX_TOKENS // 2}
    return [pair for _, pair in sorted(short.items())[:limit]]


def changes_from_base(
    session: LiveSession, pairs: Sequence[PromptPair], variants: Sequence[str], safe: bool = False
) -> list[str]:
    """The mean change of each variant but the first, with its interval."""
    answers = [(pair.prompt, (pair.safe_answer or "") if safe else pair.answer) for pair in pairs]
    columns = zip(*session.score(answers, variants, MAX_TOKENS), strict=True)
    base, *others = [{str(i): value for i, value in enumerate(column)} for column in columns]
    found = [paired_bootstrap(other, base) for other in others]
    return [f"{one.difference:+.2f} ({one.low:.2f} to {one.high:.2f})" for one in found]


if __name__ == "__main__":
    main()
