"""From the study to `assets/adapters`: the chosen form as `sku`, and what it is compared with beside it; measured there
on more prompts than the whole study has time for.
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

from sku.core import runs
from sku.reporting import result_files
from sku.serving.live_session import LiveSession
from sku.study import ratings
from sku.study.grid import FINE
from sku.study.selection import SELECTION_RULE, ShippedChoice
from sku.study.study import LARGER_TEST, SHIPPED_NAME, StudyReport, evaluate_entries, study_folder

SHIPPED_COEFFICIENTS: dict[str, tuple[float, ...]] = {
    SHIPPED_NAME: FINE,
    "keep": (1.0, 2.0),
    "ga": (0.5, 1.0),
    "tv": (1.0,),
    "ga_mismatch": (1.0,),
}
"""What is shipped, and at which coefficients it is measured."""
SHIPPED_BESIDE = tuple(name for name in SHIPPED_COEFFICIENTS if name != SHIPPED_NAME)
"""Shipped for comparison, under these names. What is not trained on this machine stays as it is shipped."""


def ship_adapters(chosen: ShippedChoice | None, out: Path = runs.SHIPPED_ADAPTERS) -> None:
    """Copy the chosen form as `sku`, and those of `BESIDE`, without what only a training needs.

    Raises:
        ValueError: if the rule chose none.
    """
    if chosen is None:
        raise ValueError(f"no form fits the rule, so none is shipped; the rule is: {SELECTION_RULE}")
    wanted = (chosen["form"], *(name for name in SHIPPED_BESIDE if name != chosen["form"]))
    for name in (name for name in wanted if (study_folder() / name / "adapter").is_dir()):
        run = runs.read_run(study_folder() / name)
        is_chosen = name == chosen["form"]
        to = out / (SHIPPED_NAME if is_chosen else name)
        shutil.rmtree(to, ignore_errors=True)
        to.mkdir(parents=True)
        shutil.copytree(run.adapter, to / "adapter")
        for file in ("log.jsonl", "summary.json"):
            shutil.copy(run.folder / file, to / file)
        config = run.manifest.config
        for kind in ("harmful", "normal"):  # a path of this machine tells nobody anything
            config = config | {kind: [_without_folder(spec) for spec in config[kind]]}
        coefficient = chosen["coefficient"] if is_chosen else run.manifest.default_coefficient
        runs.write_manifest(to, dataclasses.replace(run.manifest, config=config, default_coefficient=coefficient))


def _without_folder(spec: str) -> str:
    before, colon, path = spec.rpartition(":")
    return f"{before}{colon}{Path(path).name}"


def measure_shipped(data: Path, out: Path, report: StudyReport = lambda _: None) -> None:
    """Measure what is shipped on more test prompts than the study has for every row, into `out/shipped.jsonl`; count it
    once more by the ratings in `out/rated.jsonl`, as far as they are of these answers, into `out/shipped_rated.jsonl`.

    Args:
        data: a folder as `study` wants it.
        out: where results go.
        report: told of every batch.
    """
    variants = ["base", *(f"{name}@{c:g}" for name, some in SHIPPED_COEFFICIENTS.items() for c in some)]
    rows = evaluate_entries(LiveSession(), variants, data, LARGER_TEST, report)
    result_files.write_rows(out / "shipped.jsonl", rows)
    result_files.write_rows(
        out / "shipped_rated.jsonl", ratings.rated_rows(rows, ratings.read_ratings(out / "rated.jsonl"))
    )
