"""How many times as much KL from base one variant costs as another, with an interval over prompts.

On the base's own answers to the normal test prompts of the study, both variants on the same ones; 2,000 paired
bootstrap draws of the prompts. Run: `python -m tests.bench.divergence --data FOLDER`; prints a line a pair, a minute on
two cores.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

from sku.plans import sets_of
from sku.session import LiveSession
from sku.study import MORE, measured

SIDE_BY_SIDE = (("ga@0.5", "sku@1.5"), ("ga@1", "sku@3"), ("ga@1", "sku@2.5"), ("keep@2", "sku@2"))
DRAWS = 2000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder that the study was given")
    session = LiveSession()
    own = sets_of(session.load(), measured(parser.parse_args().data, MORE), "test").own
    names = sorted({name for pair in SIDE_BY_SIDE for name in pair})
    table = [dict(zip(names, session.divergence(p.prompt, p.answer, names), strict=True)) for p in own]
    for dear, cheap in SIDE_BY_SIDE:
        draw = random.Random(0)
        ratios = []
        for _ in range(DRAWS):
            some = draw.choices(table, k=len(table))
            ratios.append(sum(row[dear] for row in some) / sum(row[cheap] for row in some))
        ratios.sort()
        means = [sum(row[name] for row in table) / len(table) for name in (dear, cheap)]
        low, high = ratios[int(0.025 * DRAWS)], ratios[int(0.975 * DRAWS)]
        print(
            f"{dear} over {cheap}: {means[0]:.3f} / {means[1]:.3f} nats a token, {means[0] / means[1]:.1f} times "
            f"({low:.1f} to {high:.1f}), {len(table)} prompts"
        )


if __name__ == "__main__":
    main()
