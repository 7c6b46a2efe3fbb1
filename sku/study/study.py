"""The study behind the shipped numbers: every method trained alike, swept, judged, and one chosen by a stated rule.

Resumable at every point: trainings are run folders under `SKU_HOME/study`, the sweep keeps its lines there, and what is
finished is not done again. Coefficients and adapters are chosen on validation prompts; test prompts only report.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sku.core import runs, storage
from sku.core.config import DecodingConfig, TrainConfig
from sku.core.records import ResultRow
from sku.core.variants import BASE
from sku.evaluation.plan import PromptSources
from sku.reporting import pareto, result_files
from sku.serving.live_session import LiveSession
from sku.serving.session import ModelSession
from sku.study.grid import COMMON_SETTINGS, GRID, SKU_FORMS, GridEntry
from sku.study.selection import SELECTION_RULE, ShippedChoice, choose_shipped
from sku.training.trainer import run_training

if TYPE_CHECKING:
    from torch import Tensor

StudyReport = Callable[[dict[str, Any]], None]

DATA_FILES = {
    "advbench": "advbench.csv",
    "labelled": "human_labelled_answers.csv",
    "do_not_answer": "do_not_answer.jsonl",
    "xstest": "xstest_prompts.csv",
    "truthfulqa": "truthfulqa.csv",
}
_CHOICES = "truthfulqa_mc.json"
_PREFERENCES, _COLUMNS = "saferlhf_preferences_5k.jsonl", "answer=other_response,safe_answer=safer_response"
LARGER_TEST = "more test"
"""A larger set of test prompts, on which what is shipped is measured once more."""


class PromptLimits(NamedTuple):
    """Prompts that are asked at most, of each source."""

    harmful: int
    normal: int
    sounds_harmful: int
    """Harmless ones have one source or two where harmful ones have four: of 15 a single refusal would be 7 %."""
    choices: int = 0
    """Questions of TruthfulQA whose given answers are scored."""


PROMPT_LIMITS_BY_SIDE = {
    "validation": PromptLimits(50, 25, 60),
    "test": PromptLimits(15, 25, 40),
    LARGER_TEST: PromptLimits(50, 25, 60, choices=200),
}
_NEW_TOKENS = 48
JUDGE, SIMILARITY = "embedded", "minilm"


def run_study(
    data: Path, out: Path, only: str | None = None, report: StudyReport = lambda _: None
) -> ShippedChoice | None:
    """Train, sweep, judge, choose; write `study.jsonl` (test), `validation.jsonl` and `choice.json` into `out`.

    Args:
        data: a folder with the files of `FILES`, the PKU preferences and TruthfulQA's choices; missing ones are left
            out, with a report.
        out: where results go. Rows that it holds of trainings that are not on this machine stay, as long as they were
            measured on the same prompts, with the same judge; others are reported and left out.
        only: trainings whose name contains this; the others are not trained, but measured if they are there.
        report: told of every step and batch.

    Returns:
        What the rule chose.

    Raises:
        FileNotFoundError: if there is no folder `data`.
    """
    if not data.is_dir():
        raise FileNotFoundError(
            f"there is no folder {str(data)!r}; name the one that holds {', '.join(DATA_FILES.values())}"
        )
    here = _present(data)
    for name in sorted(set(DATA_FILES) - set(here)):
        report({"doing": f"{DATA_FILES[name]} is not in {data}: measured and trained without {name}"})
    if not (data / _PREFERENCES).is_file():
        report({"doing": f"{_PREFERENCES} is not in {data}: measured without it"})
    base_hidden: dict[str, Tensor] = {}
    for name, entry in GRID.items():
        if not only or only in name:
            _train(study_folder() / name, entry, here, report, base_hidden)
    entries = {name: entry for name, entry in GRID.items() if (study_folder() / name / "adapter").is_dir()}
    forms = {name: entry for name, entry in entries.items() if name in SKU_FORMS}
    session = LiveSession()

    before = _recorded(out)
    validation = _joined(evaluate_entries(session, variants_of(forms), data, "validation", report), before, report)
    chosen = choose_shipped(validation)
    result_files.write_rows(out / "validation.jsonl", [_named(row, chosen) for row in validation])
    storage.write_atomically(
        out / "choice.json", json.dumps({"rule": SELECTION_RULE, **(chosen or {})}, indent=2) + "\n"
    )
    rows = _joined(evaluate_entries(session, variants_of(entries), data, "test", report), before, report)
    result_files.write_rows(out / "study.jsonl", [_named(row, chosen) for row in rows])
    return chosen


def study_folder() -> Path:
    """Where the trainings of the study are, each a run folder."""
    return storage.home() / "study"


def variants_of(entries: dict[str, GridEntry]) -> list[str]:
    """Base, every training at its coefficients, and snapshots along a training at 1."""
    found = ["base"]
    for name, entry in entries.items():
        found += [f"{study_folder() / name}@{c:g}" for c in entry.coefficients]
        found += [f"{study_folder() / name / f'step-{step}'}@1" for step in entry.snapshots]
    return found


def evaluate_entries(
    session: ModelSession, variants: Sequence[str], data: Path, prompts: str, report: StudyReport
) -> list[ResultRow]:
    """A row for each of `variants`, measured as all of the study are.

    Args:
        session: holds the base.
        variants: `base` first.
        data: as of `study`.
        prompts: a key of `LIMITS`; the rows have it as their side.
        report: told of every batch.
    """
    decoding = DecodingConfig(max_new_tokens=_NEW_TOKENS)
    side = "test" if prompts == LARGER_TEST else prompts
    sources, work = prompt_sources(data, prompts), study_folder() / "work"
    if PROMPT_LIMITS_BY_SIDE[prompts].choices and not sources.choices:
        report({"doing": f"{_CHOICES} is not in {data}: measured without it"})
    rows = session.evaluate(variants, sources, side, decoding, JUDGE, work, SIMILARITY, report)
    return [dataclasses.replace(row, side=prompts) for row in rows]


def prompt_sources(data: Path, prompts: str) -> PromptSources:
    """What is asked: real prompts where their files are there, and the bundled ones. Preference, which takes the rule
    no further, is measured on test prompts alone.
    """
    here, limits = _present(data), PROMPT_LIMITS_BY_SIDE[prompts]
    preferences = data / _PREFERENCES
    pairs = ("bundled", *([f"{preferences}#{_COLUMNS}"] if preferences.is_file() else []))
    asked = [f"{name}:{here[name]}" for name in ("advbench", "labelled", "do_not_answer") if name in here]
    questions = data / _CHOICES if limits.choices else None
    real = (f"xstest:{here['xstest']}",) if "xstest" in here else ()
    return PromptSources(
        harmful=("bundled", *asked),
        pairs=() if prompts == "validation" else pairs,
        normal=("bundled",),
        references=(f"truthfulqa:{here['truthfulqa']}",) if "truthfulqa" in here else ("bundled",),
        sounds_harmful=real if real and prompts == "test" else ("sounds_harmful", *real),
        choices=str(questions) if questions and questions.is_file() else None,
        choices_limit=limits.choices,
        limit=limits.harmful,
        normal_limit=limits.normal,
        sounds_harmful_limit=limits.sounds_harmful,
    )


def _present(data: Path) -> dict[str, Path]:
    return {name: data / file for name, file in DATA_FILES.items() if (data / file).is_file()}


SHIPPED_NAME = "sku"
"""Name under which the chosen form is shipped."""


def _recorded(out: Path) -> list[ResultRow]:
    """What `out` holds of an earlier study, under the names of `ENTRIES`."""
    form = result_files.shipped_form(out)
    files = (out / "study.jsonl", out / "validation.jsonl")
    rows = [row for file in files if file.is_file() for row in result_files.read_rows(file)]
    return [_renamed(row, form) if form and row.run == SHIPPED_NAME else row for row in rows]


def _joined(fresh: list[ResultRow], before: Sequence[ResultRow], report: StudyReport) -> list[ResultRow]:
    """`fresh`, and of the same side what was recorded before of other trainings, in the order of `ENTRIES`."""
    here = {_entry(row) for row in fresh}
    base = next(row for row in fresh if row.method == BASE)
    older = [row for row in before if row.side == base.side and row.method != BASE and _entry(row) not in here]
    alike = [row for row in older if _how(row) == _how(base) and _entry(row) in GRID]
    for name in sorted({_entry(row) for row in older} - {_entry(row) for row in alike}):
        why = "with other prompts or another judge" if name in GRID else "by a study that had it"
        report({"doing": f"{name} was recorded {why}: left out"})
    order = [BASE, *GRID]
    return sorted([*fresh, *alike], key=lambda row: order.index(BASE if row.method == BASE else _entry(row)))


def _entry(row: ResultRow) -> str:
    """Name in `ENTRIES` of the training that a row is of."""
    return row.run.removeprefix(f"{study_folder()}/").split("/")[0]


def _how(row: ResultRow) -> tuple[Any, ...]:
    return *pareto.measurement_key(row), row.similarity_metric


def _renamed(row: ResultRow, name: str) -> ResultRow:
    return dataclasses.replace(row, run=name, variant=f"{name}@{row.coefficient:g}")


def _named(row: ResultRow, chosen: ShippedChoice | None) -> ResultRow:
    """The row with names as they are shipped, or as the study has them, without the machine's path."""
    run = row.run.removeprefix(f"{study_folder()}/")
    if chosen and run == chosen["form"]:
        run = SHIPPED_NAME
    if run == SHIPPED_NAME:
        return _renamed(row, SHIPPED_NAME)
    return dataclasses.replace(row, run=run, variant=row.variant.removeprefix(f"{study_folder()}/"))


def _train(
    out: Path, entry: GridEntry, here: dict[str, Path], report: StudyReport, base_hidden: dict[str, Tensor]
) -> None:
    begun = (out / "run.json").is_file()
    if begun and runs.read_run(out).manifest.status == "finished":
        return
    report({"doing": f"training {out.name}"})
    local = [f"{name}:{here[name]}" for name in ("advbench", "labelled") if name in here]
    asked = [f"{name}:{here[name]}" for name in ("advbench", "do_not_answer") if name in here]
    harmful = ("bundled", *local, "self:bundled", *(f"self:{spec}" for spec in asked))
    settings = COMMON_SETTINGS | {"harmful": harmful} | entry.settings
    more = tuple(f"self:{name}:{here[name]}" for name in entry.normal_files if name in here)
    settings["normal"] = (*settings.get("normal", TrainConfig.normal), *more)
    if "like" in settings:
        settings["like"] = str(out.parent / settings["like"])
    config = TrainConfig(method=entry.method, snapshots=entry.snapshots, **settings)
    spent = 0.0

    def told(line: dict[str, Any]) -> None:
        nonlocal spent
        if "step" not in line:
            report(line)
            return
        spent += line["seconds"]
        what = {"doing": f"training {out.name}", "done": line["step"], "todo": config.steps}
        report(what | {"seconds": spent})

    run_training(out, config, told, resume=begun and runs.read_run(out).begun, base_hidden=base_hidden)
