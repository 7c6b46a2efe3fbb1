"""Copy adapters from the study to `assets/adapters`: the selected form as `sku`, and others for comparison.

The shipped adapters are then measured on more prompts than the whole study has time for.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

from sku.core import runs
from sku.core.jsonl import read_json
from sku.reporting import result_files
from sku.serving.live_session import LiveSession
from sku.study import ratings
from sku.study.grid import FINE, TWO
from sku.study.selection import SELECTION_RULE, ShippedChoice
from sku.study.study import LARGER_TEST, SHIPPED_NAME, StudyReport, evaluate_entries, study_folder, with_study_name

SHIPPED_COEFFICIENTS: dict[str, tuple[float, ...]] = {
    SHIPPED_NAME: FINE,
    "sku_gated": TWO,
    "keep": (1.0, 2.0),
    "ga": (0.5, 1.0),
    "tv": (1.0,),
    "ga_mismatch": (1.0,),
}
"""The shipped adapters, and the coefficients at which they are measured."""
OPENS_AT = {"sku_gated": 1.0}
"""The coefficient at which a shipped run opens, where it is not the training's. A gate holds the price down, so it may
be higher than without one."""
SHIPPED_BESIDE = tuple(name for name in SHIPPED_COEFFICIENTS if name != SHIPPED_NAME)
"""Adapters that are shipped for comparison. Those that were not trained on this machine are left as they are."""
COMPARED = {"contrast-open": (2.5,)}
"""Trainings that are not shipped but measured on the larger test set too, beside the chosen setting of every tuned
method. Those that are not on this machine are left out."""


def ship_adapters(chosen: ShippedChoice | None, out: Path = runs.SHIPPED_ADAPTERS) -> None:
    """Copy the selected form as `sku`, and the adapters of `SHIPPED_BESIDE`, without files that only training needs.

    Raises:
        ValueError: if the selection rule selected no form.
    """
    if chosen is None:
        raise ValueError(f"no form satisfies the selection rule, so none is shipped; the rule is: {SELECTION_RULE}")
    wanted = (chosen["form"], *(name for name in SHIPPED_BESIDE if name != chosen["form"]))
    for name in (name for name in wanted if (study_folder() / name / "adapter").is_dir()):
        run = runs.read_run(study_folder() / name)
        is_chosen = name == chosen["form"]
        to = out / (SHIPPED_NAME if is_chosen else name)
        shutil.rmtree(to, ignore_errors=True)
        to.mkdir(parents=True)
        shutil.copytree(run.adapter, to / "adapter")
        for file in ("log.jsonl", "summary.json", runs.GATE):
            if (run.folder / file).is_file():  # a gated run was not trained, and has no log
                shutil.copy(run.folder / file, to / file)
        config = run.manifest.config
        for kind in ("harmful", "normal"):  # paths on this machine are of no use to others
            config = config | {kind: [_without_folder(spec) for spec in config[kind]]}
        note = run.manifest.note
        if config.get("like"):
            like = Path(config["like"]).name
            config = config | {"like": SHIPPED_NAME if like == chosen["form"] else like}
            note = note and note.replace(like, config["like"], 1)
        coefficient = chosen["coefficient"] if is_chosen else OPENS_AT.get(name, run.manifest.default_coefficient)
        runs.write_manifest(
            to, dataclasses.replace(run.manifest, config=config, default_coefficient=coefficient, note=note)
        )


def _without_folder(spec: str) -> str:
    before, colon, path = spec.rpartition(":")
    return f"{before}{colon}{Path(path).name}"


def measure_shipped(
    data: Path, out: Path, report: StudyReport = lambda _: None, cancelled: Callable[[], bool] = lambda: False
) -> None:
    """Measure the shipped variants, `COMPARED` and the chosen settings of tuned methods on the larger test set.

    The rows go to `out/shipped.jsonl`. Rows counted by the ratings in `out/rated.jsonl`, where these are of the same
    answers, go to `out/shipped_rated.jsonl`.

    Args:
        data: the folder with the data sets, as for `run_study`.
        out: the folder for the results.
        report: called after every batch.
        cancelled: asked between batches.
    """
    shipped = [f"{name}@{c:g}" for name, coefficients in SHIPPED_COEFFICIENTS.items() for c in coefficients]
    compared = [
        f"{study_folder() / name}@{c:g}"
        for name, coefficients in (COMPARED | _chosen_settings(out)).items()
        for c in coefficients
        if (study_folder() / name / "adapter").is_dir()
    ]
    rows = evaluate_entries(LiveSession(), ["base", *shipped, *compared], data, LARGER_TEST, report, cancelled)
    rows = [with_study_name(row) for row in rows]
    result_files.write_rows(out / "shipped.jsonl", rows)
    result_files.write_rows(
        out / "shipped_rated.jsonl", ratings.rated_rows(rows, ratings.read_ratings(out / "rated.jsonl"))
    )


def _chosen_settings(out: Path) -> dict[str, tuple[float, ...]]:
    """The chosen training of every tuned method, and its coefficient, from `choice.json`."""
    path = out / "choice.json"
    tuned = read_json(path).get("tuned", {}) if path.is_file() else {}
    return {choice["training"]: (choice["coefficient"],) for choice in tuned.values()}
