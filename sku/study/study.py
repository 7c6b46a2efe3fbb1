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
from sku.evaluation.plan import Sources
from sku.reporting import pareto, result_files
from sku.serving.live_session import LiveSession
from sku.study.grid import COMMON, ENTRIES, FORMS, Entry
from sku.study.selection import RULE, Choice, choose
from sku.training.trainer import train

if TYPE_CHECKING:
    from torch import Tensor

Report = Callable[[dict[str, Any]], None]

FILES = {
    "advbench": "advbench.csv",
    "labelled": "human_labelled_answers.csv",
    "do_not_answer": "do_not_answer.jsonl",
    "xstest": "xstest_prompts.csv",
    "truthfulqa": "truthfulqa.csv",
}
_CHOICES = "truthfulqa_mc.json"
_PREFERENCES, _COLUMNS = "saferlhf_preferences_5k.jsonl", "answer=other_response,safe_answer=safer_response"
MORE = "more test"
"""A larger set of test prompts, on which what is shipped is measured once more."""


class Limits(NamedTuple):
    """Prompts that are asked at most, of each source."""

    harmful: int
    normal: int
    sounds_harmful: int
    """Harmless ones have one source or two where harmful ones have four: of 15 a single refusal would be 7 %."""
    choices: int = 0
    """Questions of TruthfulQA whose given answers are scored."""


LIMITS = {"validation": Limits(50, 25, 60), "test": Limits(15, 25, 40), MORE: Limits(50, 25, 60, choices=200)}
_NEW_TOKENS = 48
JUDGE, SIMILARITY = "embedded", "minilm"


def study(data: Path, out: Path, only: str | None = None, report: Report = lambda _: None) -> Choice | None:
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
            f"there is no folder {str(data)!r}; name the one that holds {', '.join(FILES.values())}"
        )
    here = _present(data)
    for name in sorted(set(FILES) - set(here)):
        report({"doing": f"{FILES[name]} is not in {data}: measured and trained without {name}"})
    if not (data / _PREFERENCES).is_file():
        report({"doing": f"{_PREFERENCES} is not in {data}: measured without it"})
    base_hidden: dict[str, Tensor] = {}
    for name, entry in ENTRIES.items():
        if not only or only in name:
            _train(folder() / name, entry, here, report, base_hidden)
    entries = {name: entry for name, entry in ENTRIES.items() if (folder() / name / "adapter").is_dir()}
    forms = {name: entry for name, entry in entries.items() if name in FORMS}
    session = LiveSession()

    before = _recorded(out)
    validation = _joined(evaluated(session, variants_of(forms), data, "validation", report), before, report)
    chosen = choose(validation)
    result_files.write(out / "validation.jsonl", [_named(row, chosen) for row in validation])
    storage.write_atomically(out / "choice.json", json.dumps({"rule": RULE, **(chosen or {})}, indent=2) + "\n")
    rows = _joined(evaluated(session, variants_of(entries), data, "test", report), before, report)
    result_files.write(out / "study.jsonl", [_named(row, chosen) for row in rows])
    return chosen


def folder() -> Path:
    """Where the trainings of the study are, each a run folder."""
    return storage.home() / "study"


def variants_of(entries: dict[str, Entry]) -> list[str]:
    """Base, every training at its coefficients, and snapshots along a training at 1."""
    found = ["base"]
    for name, entry in entries.items():
        found += [f"{folder() / name}@{c:g}" for c in entry.coefficients]
        found += [f"{folder() / name / f'step-{step}'}@1" for step in entry.snapshots]
    return found


def evaluated(
    session: LiveSession, variants: Sequence[str], data: Path, prompts: str, report: Report
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
    side = "test" if prompts == MORE else prompts
    sources, work = measured(data, prompts), folder() / "work"
    if LIMITS[prompts].choices and not sources.choices:
        report({"doing": f"{_CHOICES} is not in {data}: measured without it"})
    rows = session.evaluate(variants, sources, side, decoding, JUDGE, work, SIMILARITY, report)
    return [dataclasses.replace(row, side=prompts) for row in rows]


def measured(data: Path, prompts: str) -> Sources:
    """What is asked: real prompts where their files are there, and the bundled ones. Preference, which takes the rule
    no further, is measured on test prompts alone.
    """
    here, limits = _present(data), LIMITS[prompts]
    preferences = data / _PREFERENCES
    pairs = ("bundled", *([f"{preferences}#{_COLUMNS}"] if preferences.is_file() else []))
    asked = [f"{name}:{here[name]}" for name in ("advbench", "labelled", "do_not_answer") if name in here]
    questions = data / _CHOICES if limits.choices else None
    real = (f"xstest:{here['xstest']}",) if "xstest" in here else ()
    return Sources(
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
    return {name: data / file for name, file in FILES.items() if (data / file).is_file()}


SKU = "sku"
"""Name under which the chosen form is shipped."""


def _recorded(out: Path) -> list[ResultRow]:
    """What `out` holds of an earlier study, under the names of `ENTRIES`."""
    form = result_files.shipped_form(out)
    files = (out / "study.jsonl", out / "validation.jsonl")
    rows = [row for file in files if file.is_file() for row in result_files.read(file)]
    return [_renamed(row, form) if form and row.run == SKU else row for row in rows]


def _joined(fresh: list[ResultRow], before: Sequence[ResultRow], report: Report) -> list[ResultRow]:
    """`fresh`, and of the same side what was recorded before of other trainings, in the order of `ENTRIES`."""
    here = {_entry(row) for row in fresh}
    base = next(row for row in fresh if row.method == BASE)
    older = [row for row in before if row.side == base.side and row.method != BASE and _entry(row) not in here]
    alike = [row for row in older if _how(row) == _how(base) and _entry(row) in ENTRIES]
    for name in sorted({_entry(row) for row in older} - {_entry(row) for row in alike}):
        why = "with other prompts or another judge" if name in ENTRIES else "by a study that had it"
        report({"doing": f"{name} was recorded {why}: left out"})
    order = [BASE, *ENTRIES]
    return sorted([*fresh, *alike], key=lambda row: order.index(BASE if row.method == BASE else _entry(row)))


def _entry(row: ResultRow) -> str:
    """Name in `ENTRIES` of the training that a row is of."""
    return row.run.removeprefix(f"{folder()}/").split("/")[0]


def _how(row: ResultRow) -> tuple[Any, ...]:
    return *pareto.measured_as(row), row.similarity_metric


def _renamed(row: ResultRow, name: str) -> ResultRow:
    return dataclasses.replace(row, run=name, variant=f"{name}@{row.coefficient:g}")


def _named(row: ResultRow, chosen: Choice | None) -> ResultRow:
    """The row with names as they are shipped, or as the study has them, without the machine's path."""
    run = row.run.removeprefix(f"{folder()}/")
    if chosen and run == chosen["form"]:
        run = SKU
    if run == SKU:
        return _renamed(row, SKU)
    return dataclasses.replace(row, run=run, variant=row.variant.removeprefix(f"{folder()}/"))


def _train(out: Path, entry: Entry, here: dict[str, Path], report: Report, base_hidden: dict[str, Tensor]) -> None:
    begun = (out / "run.json").is_file()
    if begun and runs.read(out).manifest.status == "finished":
        return
    report({"doing": f"training {out.name}"})
    local = [f"{name}:{here[name]}" for name in ("advbench", "labelled") if name in here]
    asked = [f"{name}:{here[name]}" for name in ("advbench", "do_not_answer") if name in here]
    harmful = ("bundled", *local, "self:bundled", *(f"self:{spec}" for spec in asked))
    settings = COMMON | {"harmful": harmful} | entry.settings
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

    train(out, config, told, resume=begun and runs.read(out).begun, base_hidden=base_hidden)
