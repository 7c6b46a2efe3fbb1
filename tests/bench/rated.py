"""Count the answers of the shipped variants to the larger test set by ratings, and compare with the judge.

A large language model rated each answer by our rubric (`assets/data/rubric.md`), without knowing which variant wrote
it. `assets/results/rated.jsonl` has these ratings and the embedded judge's verdicts on the same answers. No model is
loaded.

Run: `python -m tests.bench.rated --data FOLDER`; with `--ratings assets/results/first_study_rated.jsonl` for the first
study. Prints tables, by the ratings and by the judge:

- for each variant, the number of harmful answers to harmful prompts, and of refusals of prompts that sound harmful;
- the difference of pairs of variants on the same prompts;
- the reduction of the base's harmful rate by each variant;
- the agreement of the judge with the ratings;
- with `--data`, the number of harmful answers by the source of their prompts.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from sku.core import intervals
from sku.data import load_pairs as load_data
from sku.judges.agreement import measure_agreement
from sku.judges.fitting.build import HARM_THRESHOLD
from sku.judges.fitting.labels import HARMFUL_FROM_SEVERITY
from sku.reporting.formatting import percent, percent_range, percent_with_interval, points
from sku.reporting.result_files import RECORDED_STUDY
from sku.study.ratings import RatedAnswer, read_ratings
from sku.study.study import LARGER_TEST, prompt_sources

Reader = Literal["rating", "outcome"]
READERS: tuple[Reader, Reader] = ("rating", "outcome")
GATED = "sku_gated"
"""Its answers are those of the base or of `sku` at the same coefficient, so their ratings are copied, and the agreement
counts them once."""
SIDE_BY_SIDE = (
    ("sku_gated@1", "sku@0.8"),
    ("sku@0.8", "ga@0.5"),
    ("sku@0.8", "ga@1"),
    ("sku@0.8", "keep@2"),
    ("contrast-open@1.5", "ga@0.5"),
    ("contrast-open@3", "ga@1"),
    ("contrast-open@2.5", "contrast-open@2"),
    ("contrast-open@2", "keep@2"),
)
"""Pairs of variants that are compared where both were rated."""


def rates(rows: list[RatedAnswer]) -> str:
    """One line of the table, for one variant."""
    harmful, sounds = ([row for row in rows if row.set == name] for name in ("harmful", "sounds_harmful"))
    called = sum(row.rating == "harmful" for row in harmful)
    interval = intervals.wilson(called, len(harmful))
    cells = [
        f"{called} of {len(harmful)} ({percent_range(interval.low, interval.high)} %)",
        sum(row.outcome == "harmful" for row in harmful),
        sum(row.rating == "refusal" for row in harmful),
        sum(row.outcome == "refusal" for row in harmful),
        f"{sum(row.rating == 'refusal' for row in sounds)} of {len(sounds)}",
        sum(row.outcome == "refusal" for row in sounds),
    ]
    return " | ".join(map(str, cells))


def difference(rows: list[RatedAnswer], one: str, other: str) -> str:
    """The harmful rate of one variant minus another's, by the ratings and by the judge, with paired intervals."""

    def change(reader: Reader) -> str:
        interval = intervals.paired_bootstrap(_harmful(rows, one, reader), _harmful(rows, other, reader))
        return points(interval.difference, interval.low, interval.high)

    return f"{one} minus {other}, harmful: rated {change('rating')}, judge {change('outcome')}"


def cut(rows: list[RatedAnswer], variant: str, prompts: Sequence[str] | None = None) -> str:
    """The reduction of the base's harmful rate by a variant, as a share, with a bootstrap interval.

    Args:
        rows: the rated answers of all variants.
        variant: a variant other than the base.
        prompts: the ids of the prompts to count; None counts all.
    """

    def reduction(reader: Reader) -> str:
        own, base = (
            {p: harmful for p, harmful in _harmful(rows, name, reader).items() if prompts is None or p in prompts}
            for name in (variant, "base")
        )
        left, low, high = intervals.paired_ratio(own, base)
        if left is None or low is None or high is None:
            return "-"
        return percent_with_interval(1 - left, 1 - high, 1 - low)

    return f"{variant}, cut: rated {reduction('rating')}, judge {reduction('outcome')}"


def by_source(rows: list[RatedAnswer], data: Path) -> list[str]:
    """Harmful answers by the source of their prompts: one line per source, one cell (ratings/judge) per variant.

    The reductions without the bundled prompts follow.
    """
    variants = list(dict.fromkeys(row.variant for row in rows))
    counts = {name: {reader: _harmful(rows, name, reader) for reader in READERS} for name in variants}
    asked = {row.prompt_id for row in rows if row.set == "harmful"}
    lines, real = ["source | prompts | " + " | ".join(variants)], list[str]()
    for spec in prompt_sources(data, LARGER_TEST).harmful:
        prompts = {pair.prompt_id for pair in load_data(spec, "harmful").pairs} & asked
        asked -= prompts
        real += [] if spec == "bundled" else prompts
        cells = ["/".join(f"{sum(counts[v][reader][p] for p in prompts):.0f}" for reader in READERS) for v in variants]
        lines.append(f"{spec.partition(':')[0]} | {len(prompts)} | {' | '.join(cells)}")
    if asked:
        lines.append(f"of no source in {data}: {len(asked)} prompts")
    return [*lines, "without the bundled prompts:", *(cut(rows, v, real) for v in variants if v != "base")]


def _harmful(rows: list[RatedAnswer], variant: str, reader: Reader) -> dict[str, float]:
    answers = [row for row in rows if (row.variant, row.set) == (variant, "harmful")]
    return {row.prompt_id: float(getattr(row, reader) == "harmful") for row in answers}


def kappa(judged: Sequence[bool], truth: Sequence[bool]) -> float:
    """Cohen's kappa: the agreement beyond chance."""
    n = len(truth)
    agreed = sum(a == b for a, b in zip(judged, truth, strict=True)) / n
    chance = sum(judged) * sum(truth) / n**2 + (n - sum(judged)) * (n - sum(truth)) / n**2
    return (agreed - chance) / (1 - chance)


def agreement(rows: list[RatedAnswer]) -> list[str]:
    """How often the judge agrees with the ratings: on harm, and on refusal where the rating is clear."""
    read_too = [row for row in rows if row.severity is not None and row.outcome not in ("broken", "unjudged")]
    truth = [row.severity is not None and row.severity >= HARMFUL_FROM_SEVERITY for row in read_too]
    called = measure_agreement("harm", [float(row.outcome == "harmful") for row in read_too], truth)
    scored = measure_agreement("harm", [row.score for row in read_too], truth, HARM_THRESHOLD)
    clear = [row for row in rows if row.outcome != "broken" and row.refuses in (0, 1)]
    judged_refusals = [float(row.outcome == "refusal") for row in clear]
    refusal = measure_agreement("refusal", judged_refusals, [row.refuses == 1 for row in clear])
    judged = [row.outcome == "harmful" for row in read_too]
    both = sum(a and b for a, b in zip(judged, truth, strict=True))
    return [
        f"harm: {percent(called.accuracy, 1)} of {called.n}, AUC {scored.auc or 0:.3f}, "
        f"kappa {kappa(judged, truth):.2f}; rated harmful {sum(truth)}, called so {sum(judged)}, both {both}; "
        f"'never' would agree in {percent(1 - sum(truth) / len(truth), 1)}",
        f"refusal: {percent(refusal.accuracy, 1)} of {refusal.n}",
    ]


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="the folder with the study's data sets, for counts by source")
    parser.add_argument(
        "--ratings", type=Path, default=RECORDED_STUDY.with_name("rated.jsonl"), help="the file of ratings"
    )
    given = parser.parse_args()
    data, rows = given.data, read_ratings(given.ratings)
    print("variant | harmful: rated (95 %), judge | refusals: rated, judge | over-refusals: rated, judge")
    for name in dict.fromkeys(row.variant for row in rows):
        print(f"{name} | {rates([row for row in rows if row.variant == name])}")
    rated = {row.variant for row in rows}
    print(*(difference(rows, one, other) for one, other in SIDE_BY_SIDE if {one, other} <= rated), sep="\n")
    print(*(cut(rows, name) for name in dict.fromkeys(row.variant for row in rows) if name != "base"), sep="\n")
    print(*agreement([row for row in rows if not row.variant.startswith(GATED)]), sep="\n")
    if data:
        print(*by_source(rows, data), sep="\n")


if __name__ == "__main__":
    main()
