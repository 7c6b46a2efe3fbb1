"""Does a friendly beginning alone make a variant refuse? Refusals with and without the attack `prefill-generic`.

A training that sees such beginnings before harmful answers only can take the beginning for the harm. The variant then
looks safe under the attack, and refuses harmless prompts as well.

Run: `python -m tests.bench.beginnings --data FOLDER --variants base sku`. Prints, for validation prompts of three
kinds, how many answers refuse.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sku.core.attacks import ChosenAttack
from sku.core.config import DecodingConfig
from sku.evaluation.prompt_sets import load_prompt_sets
from sku.judges import refusal
from sku.serving.live_session import LiveSession
from sku.study.study import prompt_sources

ATTACKS = ("none", "prefill-generic")
_BATCH, _TOKENS = 8, 40


def main() -> None:
    """Answer, count and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder that the study was given")
    parser.add_argument("--variants", nargs="+", default=["base", "sku"])
    given = parser.parse_args()
    session = LiveSession()
    sets = load_prompt_sets(session.load(), prompt_sources(given.data, "validation"), "validation")
    kinds = {
        "normal": sets.normal,
        "sounds harmful": sets.sounds_harmful[:60],
        "harmful": sets.harmful[::3],
    }
    config = DecodingConfig(max_new_tokens=_TOKENS)
    for kind, asked in kinds.items():
        for attack in ATTACKS:
            refused = dict.fromkeys(given.variants, 0)
            for start in range(0, len(asked), _BATCH):
                prompts = [one.prompt for one in asked[start : start + _BATCH]]
                answers = session.answers(prompts, given.variants, config, ChosenAttack(attack))
                for i, answer in enumerate(answers):
                    refused[given.variants[i % len(given.variants)]] += refusal.refusal_kind(answer.text) is not None
            counts = ", ".join(f"{variant} {count}" for variant, count in refused.items())
            print(f"{kind}, {attack}: of {len(asked)} refused {counts}")


if __name__ == "__main__":
    main()
