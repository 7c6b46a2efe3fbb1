"""Compare the KL from base of pairs of variants: the ratio of the two, with an interval over prompts.

The KL is measured on the base's own answers to the normal test prompts of the study, the same for both variants. The
interval is a paired bootstrap over the prompts.

Run: `python -m tests.bench.divergence --data FOLDER`. Prints one line per pair, with the number of prompts at its end.
Takes a minute on two cores.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sku.core import intervals
from sku.evaluation.prompt_sets import load_prompt_sets
from sku.serving.live_session import LiveSession
from sku.study.study import LARGER_TEST, prompt_sources

SIDE_BY_SIDE = (("ga@0.5", "sku@0.5"), ("ga@0.5", "sku@0.8"), ("ga@1", "sku@0.8"), ("keep@2", "sku@0.8"))


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
        interval = intervals.paired_ratio(above, below)
        means = " over ".join(f"{intervals.mean_interval(values).mean:.3f}" for values in (above, below))
        ratio, low, high = (number or 0.0 for number in interval)
        print(f"{dear} over {cheap}: {means} nats per token, {ratio:.1f} times ({low:.1f} to {high:.1f}) on {len(own)}")


if __name__ == "__main__":
    main()
