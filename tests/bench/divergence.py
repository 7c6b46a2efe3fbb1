"""How many times as much KL from base one variant costs as another, with an interval over prompts.

On the base's own answers to the normal test prompts of the study, both variants on the same ones; a paired
bootstrap over the prompts. Run: `python -m tests.bench.divergence --data FOLDER`; prints a line a pair, the number
of prompts last; a minute on two cores.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sku.core import intervals
from sku.evaluation.prompt_sets import load_prompt_sets
from sku.serving.live_session import LiveSession
from sku.study.study import LARGER_TEST, prompt_sources

SIDE_BY_SIDE = (("ga@0.5", "sku@1.5"), ("ga@1", "sku@3"), ("ga@1", "sku@2.5"), ("keep@2", "sku@2"))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder that the study was given")
    session = LiveSession()
    own = load_prompt_sets(session.load(), prompt_sources(parser.parse_args().data, LARGER_TEST), "test").own
    names = sorted({name for pair in SIDE_BY_SIDE for name in pair})
    table = [dict(zip(names, session.divergence(p.prompt, p.answer, names), strict=True)) for p in own]
    for dear, cheap in SIDE_BY_SIDE:
        above, below = ({p.prompt_id: row[name] for p, row in zip(own, table, strict=True)} for name in (dear, cheap))
        found = intervals.paired_ratio(above, below)
        means = " over ".join(f"{intervals.mean_interval(one).mean:.3f}" for one in (above, below))
        ratio, low, high = (number or 0.0 for number in found)
        print(f"{dear} over {cheap}: {means} nats per token, {ratio:.1f} times ({low:.1f} to {high:.1f}) on {len(own)}")


if __name__ == "__main__":
    main()
