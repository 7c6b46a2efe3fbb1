"""The study behind the published numbers: train every method, measure it, and select what is shipped by a stated rule.

The study can be resumed at any point. Trainings and measurements are kept in `SKU_HOME/study`, and finished work is not
repeated. The selection uses validation prompts only; test prompts serve only to report the results.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sku.core import runs, storage
from sku.core.config import DecodingConfig, TrainConfig
from sku.core.methods import METHODS
from sku.core.records import ResultRow
from sku.core.variants import BASE
from sku.evaluation.plan import PromptSources
from sku.reporting import pareto, result_files
from sku.serving.live_session import LiveSession
from sku.serving.session import ModelSession
from sku.study.grid import COMMON_SETTINGS, GRID, KL_BUDGET, SKU_FORMS, TRIED_FORMS, TUNED, GridEntry
from sku.study.kl_budget import largest_coefficients
from sku.study.selection import SELECTION_RULE, ShippedChoice, choose_shipped, choose_tuned
from sku.training.trainer import run_training

StudyReport = Callable[[dict[str, Any]], None]

DATA_FILES = {
    "advbench": "advbench.csv",
    "labelled": "human_labelled_answers.csv",
    "do_not_answer": "do_not_answer.jsonl",
    "xstest": "xstest_prompts.csv",
    "truthfulqa": "truthfulqa.csv",
}
_CHOICES = "truthfulqa_mc.json"
PREFERENCES, PREFERENCE_COLUMNS = "saferlhf_preferences_5k.jsonl", "answer=other_response,safe_answer=safer_response"
LARGER_TEST = "more test"
"""A larger set of test prompts, on which the shipped variants are measured again."""


class PromptLimits(NamedTuple):
    """The largest number of prompts per source."""

    harmful: int
    normal: int
    sounds_harmful: int
    """The limit for harmless prompts that sound harmful. It is larger, because these prompts have fewer sources than
    harmful ones: with 15 prompts, a single refusal would be 7 %."""
    choices: int = 0
    """The number of TruthfulQA questions whose answers are scored."""


PROMPT_LIMITS_BY_SIDE = {
    "validation": PromptLimits(40, 25, 40),
    "test": PromptLimits(20, 25, 40),
    LARGER_TEST: PromptLimits(67, 25, 60, choices=60),
}
_NEW_TOKENS = 48
JUDGE, SIMILARITY = "embedded", "minilm"


def run_study(
    data: Path,
    out: Path,
    only: str | None = None,
    report: StudyReport = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> ShippedChoice | None:
    """Train every method, measure it at its coefficients, and select what is shipped.

    Writes `study.jsonl` (test prompts), `validation.jsonl` and `choice.json` to `out`.

    Args:
        data: a folder with the files of `DATA_FILES`, the PKU preferences and TruthfulQA's choices. Missing files are
            reported and left out.
        out: the folder for the results. It may hold rows of trainings that are not on this machine. These rows are kept
            if they were measured on the same prompts with the same judge; otherwise they are reported and left out.
        only: train only the entries whose name contains this text. The others are measured if they exist.
        report: called after every step and batch.
        cancelled: asked between steps and batches.

    Returns:
        The selected form and its coefficient.

    Raises:
        FileNotFoundError: if the folder `data` does not exist.
        Cancelled: if `cancelled` returned True. The same call continues.
    """
    if not data.is_dir():
        raise FileNotFoundError(
            f"there is no folder {str(data)!r}; name the one that holds {', '.join(DATA_FILES.values())}"
        )
    files = _existing_files(data)
    for name in sorted(set(DATA_FILES) - set(files)):
        report({"doing": f"{DATA_FILES[name]} is not in {data}: training and measuring without {name}"})
    if not (data / PREFERENCES).is_file():
        report({"doing": f"{PREFERENCES} is not in {data}: measuring without it"})
    for name, entry in GRID.items():
        if not only or only in name:
            _train(study_folder() / name, entry, files, report, cancelled)
    entries = {name: entry for name, entry in GRID.items() if (study_folder() / name / "adapter").is_dir()}
    session = LiveSession()

    earlier = _read_earlier_rows(out)
    sources, work = prompt_sources(data, "validation"), study_folder() / "work"
    budgeted = {study_folder() / name: entry.coefficients for name, entry in entries.items() if entry.budgeted}
    kept = largest_coefficients(session, budgeted, KL_BUDGET, sources, work, report, cancelled)
    entries |= {folder.name: dataclasses.replace(entries[folder.name], coefficients=(c,)) for folder, c in kept.items()}
    candidates = {name: entry for name, entry in entries.items() if name in SKU_FORMS or entry.tuned}
    measured = evaluate_entries(session, variants_of(candidates), data, "validation", report, cancelled)
    validation = _merge_rows(measured, earlier, report)
    chosen, tuned = choose_shipped(validation), choose_tuned(validation)
    result_files.write_rows(out / "validation.jsonl", [_with_shipped_name(row, chosen) for row in validation])
    storage.write_atomically(
        out / "choice.json", json.dumps({"rule": SELECTION_RULE, **(chosen or {}), "tuned": tuned}, indent=2) + "\n"
    )
    selected = {choice["training"] for choice in tuned.values()} | ({chosen["form"]} if chosen else set())
    passed_over = {*TUNED, *TRIED_FORMS} - selected
    tested = {name: entry for name, entry in entries.items() if name not in passed_over}
    measured = evaluate_entries(session, variants_of(tested), data, "test", report, cancelled)
    rows = _merge_rows(measured, [row for row in earlier if _entry_name(row) not in passed_over], report)
    result_files.write_rows(out / "study.jsonl", [_with_shipped_name(row, chosen) for row in rows])
    return chosen


def study_folder() -> Path:
    """The folder with the trainings of the study, each in a run folder."""
    return storage.home() / "study"


def variants_of(entries: dict[str, GridEntry]) -> list[str]:
    """The variants to measure: the base, and every training at its coefficients."""
    variants = ["base"]
    for name, entry in entries.items():
        variants += [f"{study_folder() / name}@{c:g}" for c in entry.coefficients]
    return variants


def evaluate_entries(
    session: ModelSession,
    variants: Sequence[str],
    data: Path,
    prompts: str,
    report: StudyReport,
    cancelled: Callable[[], bool] = lambda: False,
) -> list[ResultRow]:
    """Measure `variants` with the settings of the study, and return one row for each.

    Args:
        session: a session with the base model.
        variants: the variants, with `base` first.
        data: the folder with the data sets, as for `run_study`.
        prompts: the set of prompts, a key of `PROMPT_LIMITS_BY_SIDE`. It becomes the side of the rows.
        report: called after every batch.
    """
    decoding = DecodingConfig(max_new_tokens=_NEW_TOKENS)
    side = "test" if prompts == LARGER_TEST else prompts
    sources, work = prompt_sources(data, prompts), study_folder() / "work"
    if PROMPT_LIMITS_BY_SIDE[prompts].choices and not sources.choices:
        report({"doing": f"{_CHOICES} is not in {data}: measuring without it"})
    rows = session.evaluate(variants, sources, side, decoding, JUDGE, work, SIMILARITY, report, cancelled)
    return [dataclasses.replace(row, side=prompts) for row in rows]


def prompt_sources(data: Path, prompts: str) -> PromptSources:
    """The sources of prompts: the bundled ones, and those in `data` whose files exist.

    Preference is measured on test prompts only, because the selection rule does not use it.
    """
    files, limits = _existing_files(data), PROMPT_LIMITS_BY_SIDE[prompts]
    preferences = data / PREFERENCES
    preferred = [f"{preferences}#{PREFERENCE_COLUMNS}"] if preferences.is_file() and prompts != "validation" else []
    asked = [f"{name}:{files[name]}" for name in ("advbench", "labelled", "do_not_answer") if name in files]
    questions = data / _CHOICES if limits.choices else None
    xstest = (f"xstest:{files['xstest']}",) if "xstest" in files else ()
    return PromptSources(
        harmful=("bundled", *asked, *preferred),
        pairs=() if prompts == "validation" else ("bundled", *preferred),
        normal=("bundled", "plain_requests"),
        references=(f"truthfulqa:{files['truthfulqa']}",) if "truthfulqa" in files else ("bundled",),
        sounds_harmful=("sounds_harmful", *xstest, "plain_requests"),
        choices=str(questions) if questions and questions.is_file() else None,
        choices_limit=limits.choices,
        limit=limits.harmful,
        normal_limit=limits.normal,
        sounds_harmful_limit=limits.sounds_harmful,
    )


def _existing_files(data: Path) -> dict[str, Path]:
    return {name: data / file for name, file in DATA_FILES.items() if (data / file).is_file()}


SHIPPED_NAME = "sku"
"""The name under which the selected form is shipped."""


def _read_earlier_rows(out: Path) -> list[ResultRow]:
    """The rows of an earlier study in `out`, with the names in `GRID`."""
    form = result_files.shipped_form(out)
    files = (out / "study.jsonl", out / "validation.jsonl")
    rows = [row for file in files if file.is_file() for row in result_files.read_rows(file)]
    return [_renamed(row, form) if form and row.run == SHIPPED_NAME else row for row in rows]


def _merge_rows(fresh: list[ResultRow], earlier: Sequence[ResultRow], report: StudyReport) -> list[ResultRow]:
    """The new rows, and the earlier rows of other trainings on the same side, in the order of `GRID`.

    Earlier rows are left out if they were not measured in the same way as the new ones.
    """
    measured = {_entry_name(row) for row in fresh}
    base = next(row for row in fresh if row.method == BASE)
    others = [
        row for row in earlier if row.side == base.side and row.method != BASE and _entry_name(row) not in measured
    ]
    kept = [row for row in others if _study_key(row) == _study_key(base) and _entry_name(row) in GRID]
    for name in sorted({_entry_name(row) for row in others} - {_entry_name(row) for row in kept}):
        reason = "was measured with other prompts or another judge" if name in GRID else "is not in this study"
        report({"doing": f"{name} {reason}: its recorded rows are left out"})
    order = [BASE, *GRID]
    return sorted([*fresh, *kept], key=lambda row: order.index(BASE if row.method == BASE else _entry_name(row)))


def _entry_name(row: ResultRow) -> str:
    """The name in `GRID` of the training that a row belongs to."""
    return row.run.removeprefix(f"{study_folder()}/").split("/")[0]


def _study_key(row: ResultRow) -> tuple[Any, ...]:
    return *pareto.measurement_key(row), row.similarity_metric


def _renamed(row: ResultRow, name: str) -> ResultRow:
    return dataclasses.replace(row, run=name, variant=f"{name}@{row.coefficient:g}")


def _with_shipped_name(row: ResultRow, chosen: ShippedChoice | None) -> ResultRow:
    """The row with the shipped name if its form was selected, else with its name in the study, without a path."""
    run = row.run.removeprefix(f"{study_folder()}/")
    if chosen and run == chosen["form"]:
        run = SHIPPED_NAME
    if run == SHIPPED_NAME:
        return _renamed(row, SHIPPED_NAME)
    return with_study_name(row)


def with_study_name(row: ResultRow) -> ResultRow:
    """The row with the name of its training in the study instead of a path."""
    run, variant = (name.removeprefix(f"{study_folder()}/") for name in (row.run, row.variant))
    return dataclasses.replace(row, run=run, variant=variant)


def located_specs(specs: Sequence[str], files: dict[str, Path]) -> tuple[str, ...]:
    """The specs with the files of the sources in `DATA_FILES`; a source whose file is missing is left out."""
    sources = {spec: spec.rpartition(":")[2] for spec in specs}
    kept = [spec for spec, source in sources.items() if source not in DATA_FILES or source in files]
    return tuple(f"{spec}:{files[sources[spec]]}" if sources[spec] in files else spec for spec in kept)


def _train(
    out: Path,
    entry: GridEntry,
    files: dict[str, Path],
    report: StudyReport,
    cancelled: Callable[[], bool],
) -> None:
    begun = (out / "run.json").is_file()
    if begun and runs.read_run(out).manifest.status == "finished":
        return
    report({"doing": f"training {out.name}"})
    settings = COMMON_SETTINGS | METHODS[entry.method].settings | entry.settings
    if "like" in settings:
        settings["like"] = str(out.parent / settings["like"])
    config = TrainConfig(method=entry.method, **settings)
    config = dataclasses.replace(
        config, harmful=located_specs(config.harmful, files), normal=located_specs(config.normal, files)
    )
    spent = 0.0

    def report_step(line: dict[str, Any]) -> None:
        nonlocal spent
        if "step" not in line:
            report(line)
            return
        spent += line["seconds"]
        progress = {"doing": f"training {out.name}", "done": line["step"], "todo": config.steps}
        report(progress | {"seconds": spent})

    resume = begun and runs.read_run(out).begun
    run_training(out, config, report_step, cancelled, resume)
