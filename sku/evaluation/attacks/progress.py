"""How much of an attack measurement is left, in seconds: by answers, the part that costs the most. Plain arithmetic."""

from __future__ import annotations

import time
from typing import Any

from sku.core.attacks import Attack
from sku.evaluation.attacks.plan import AttackPlan
from sku.evaluation.passes import ProgressReport

ANSWERS_PER_TRAINING_STEP = 3.0
"""A training step with its looks takes about as long as so many answers."""
JUDGED_PER_WRITTEN = 0.5
"""Judging an answer takes about half as long as writing it."""


def cost(plan: AttackPlan, attack: Attack) -> float:
    """What one attack on one variant costs, in answers."""
    answers = len(plan.asked(attack)) * attack.samples if attack.answers else len(plan.harmful) / 4
    answers += len(plan.harmless(attack))
    # A step of a search scores many candidates, each at about the cost of an answer.
    each_step = float(attack.settings.get("candidates", ANSWERS_PER_TRAINING_STEP))
    return answers + each_step * float(attack.settings.get("steps", 0))


class SuiteProgress:
    """Adds `left`, the seconds until the whole suite is done, to every line of a report."""

    def __init__(self, plan: AttackPlan, report: ProgressReport) -> None:
        self.report_line = report
        self.began = time.perf_counter()
        writing = sum(cost(plan, attack) for attack in plan.measured.values()) * len(plan.subjects)
        self.todo = writing * (1 + JUDGED_PER_WRITTEN)
        self.done = self.running = 0.0

    def leave_out(self, units: float) -> None:
        """So many units were computed by an earlier call."""
        self.todo -= units

    def begin(self, units: float) -> None:
        """The next `units` are being computed."""
        self.running = units

    def finish(self, computed: bool = True) -> None:
        """They are done; if they were not computed because an earlier call had, they do not count at all."""
        if computed:
            self.done += self.running
        else:
            self.leave_out(self.running)
        self.running = 0.0

    def report(self, line: dict[str, Any]) -> None:
        """Pass on a line, with the time that is left once there is something to go by."""
        part = self.running * line["done"] / line["todo"] if line.get("todo") else 0.0
        done = self.done + part
        if done > 0:
            line = line | {"left": (time.perf_counter() - self.began) / done * max(0.0, self.todo - done)}
        self.report_line(line)
