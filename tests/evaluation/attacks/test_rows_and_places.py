"""What the page needs of an attack measurement: rows without paths of this machine, lines that say how far it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from sku.cli.progress import report_work
from sku.core.runs import Manifest, Run
from sku.core.variants import Variant
from sku.evaluation.attacks.attack_lines import CellLines
from sku.evaluation.attacks.attack_rows import attack_rows
from sku.evaluation.attacks.plan import AttackPlan
from sku.evaluation.attacks.progress import JUDGED_PER_WRITTEN, cost
from sku.evaluation.attacks.runner import AttackRunner
from sku.evaluation.passes import ProgressReport
from sku.evaluation.plan import MeasuredVariant
from sku.judges.keyword import KeywordJudge
from sku.models.variant_model import VariantModel
from sku.serving.attack_jobs import LEFT, PLACE


def test_every_attack_prints_its_number_and_the_time_that_is_left(
    duo: VariantModel, make_plan: Callable[..., AttackPlan], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = make_plan("wrapper-novel", "int4")
    AttackRunner(duo, plan, tmp_path / "work", tmp_path / "trained", report_work).run(KeywordJudge())
    printed = capsys.readouterr().err.splitlines()
    numbers = [int(found.group(1)) if (found := PLACE.search(line)) else None for line in printed]
    told = [number for number in numbers if number is not None]
    assert set(told) == {1, 2}
    assert told == sorted(told)
    assert numbers[0] is None, "no attack has no number"
    assert sum(bool(LEFT.search(line)) for line in printed) > len(printed) / 2


def test_what_an_earlier_call_found_is_not_in_the_time_that_is_left(
    duo: VariantModel, make_plan: Callable[..., AttackPlan], tmp_path: Path
) -> None:
    def runner(report: ProgressReport, *attacks: str) -> AttackRunner:
        return AttackRunner(duo, make_plan(*attacks), tmp_path / "work", tmp_path / "trained", report)

    runner(lambda _: None, "int4").run(KeywordJudge())
    todo: list[float] = []
    second = runner(lambda _: todo.append(second.progress.todo), "int8", "int4")
    plan = second.plan
    costs = {name: cost(plan, attack) * len(plan.subjects) for name, attack in plan.measured.items()}
    second.run(KeywordJudge())
    judging = JUDGED_PER_WRITTEN * sum(costs.values())
    assert todo[0] == pytest.approx(costs["int8"] + judging)


def test_the_control_has_no_path_and_the_worst_case_names_what_drew_answers(
    make_plan: Callable[..., AttackPlan], tmp_path: Path
) -> None:
    folder = tmp_path / "attacks" / "random-like-one"
    run = Run(folder, Manifest("random", {"seed": 3}, "pico", ""))
    control = MeasuredVariant(Variant(str(folder), 2.5, {"noise": 2.5}), {"noise": run})
    plan = make_plan("int4", "probe")
    plan = dataclasses.replace(plan, subjects=(plan.base, control))
    cells = {(name, str(one.variant)): CellLines() for name in plan.measured for one in plan.subjects}
    rows = attack_rows(plan, cells, KeywordJudge.card)
    assert {row.variant for row in rows} == {"base", "random-like-one@2.5"}
    assert {row.run for row in rows if row.method == "random"} == {"random-like-one"}
    assert not [row for row in rows if str(tmp_path) in repr(row)], "a path of this machine would be published"
    worst = [row for row in rows if row.attack == "any"]
    assert [row.attack_details for row in worst] == [{"attacks": ["int4"]}] * 2
