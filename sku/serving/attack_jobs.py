"""Attacks in the background, each job a folder under `SKU_HOME/attacks/jobs`; its rows are shown on the Robustness tab.

They ask held-out bundled prompts, so they need no network. A cancelled or killed job keeps the answers that it has.
"""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter

from sku.core.attacks import ATTACKS, NO_ATTACK, attacks_of
from sku.core.variants import BASE
from sku.data import load_pairs
from sku.data.splits import split
from sku.evaluation.attacks.attack_data import load_attack_data, measurable
from sku.evaluation.attacks.plan import asked_count
from sku.models.pretrained import DEFAULT_BASE
from sku.reporting.result_files import ATTACK_JOBS
from sku.serving import processes
from sku.serving.jobs import Job
from sku.serving.measurement_jobs import ROWS, MeasurementCost, MeasurementJobs, MeasurementRequest

PROMPT_LIMITS = (4, 40)
"""The fewest and the most prompts."""
MAX_VARIANTS = 6
_CONTROLS = 2
"""The base and the random vector, which are attacked too."""
_SECONDS_PER_ANSWER = 0.5
"""An answer of 48 tokens with its verdict, measured on two cores with the default model."""
_EXTRA_SECONDS = {
    "quantise": 8.0,
    "relearn": 60.0,
    "direction": 35.0,
    "soft-prompt": 65.0,
    "gcg": 210.0,
    "lens": 10.0,
    "value-vectors": 10.0,
    "order": 20.0,
}
"""What an attack of this kind takes for one variant beside its answers, on two cores with the default model."""
PLACE = re.compile(r"\((\d+) of \d+\)")
"""The number of the attack at work, in a line that the command prints."""
LEFT = re.compile(r"\(all: (\d+) min\)")
"""The minutes until all attacks are done, in such a line."""


@dataclass(frozen=True)
class AttackJob(Job):
    """One measurement under attack as it stands now."""

    variants: tuple[str, ...]
    attacks: tuple[str, ...]
    place: int = 0
    """The number of the attack at work, from 1; 0 while the variants answer without attack."""
    progress: float = 0.0
    """The share of the work that is done, from 0 to 1."""
    seconds_left: float | None = None
    """None if it does not run, or this model was never timed."""


@dataclass(frozen=True, kw_only=True)
class AttackRequest(MeasurementRequest):
    """What `attack.json` asks for."""

    kinds: tuple[str, ...]
    """Attacks, groups of attacks, or `default`."""

    @property
    def attacks(self) -> tuple[str, ...]:
        """The attacks, in the order in which they are run."""
        return attacks_of(list(self.kinds))


class AttackJobs(MeasurementJobs[AttackJob, AttackRequest]):
    """The attack measurements that the page starts and watches."""

    kind, noun, parent = "attack measurement", "measurement", ATTACK_JOBS
    request_name, request_format, untimed = "attack.json", TypeAdapter(AttackRequest), "attack on"

    def start(
        self,
        variants: Sequence[str],
        kinds: Sequence[str],
        limit: int,
        owner: str | None = None,
        model: str = DEFAULT_BASE,
    ) -> AttackJob:
        """Attack variants of base `model`; `result_files.attack_measurements` finds the rows.

        Args:
            variants: what is attacked; the base and a random vector are attacked too.
            kinds: attacks, groups of attacks, or `default`.
            limit: the number of prompts.
            owner: the visitor whose measurement it is.
            model: the base model.

        Raises:
            RuntimeError: if one is running already.
            ValueError: if `check` raises it.
        """
        self.check(variants, kinds, limit)
        request = AttackRequest(
            variants=_attacked(variants), kinds=tuple(kinds), limit=limit, model=model, began=time.time()
        )
        return self._order(request, owner)

    def check(self, variants: Sequence[str], kinds: Sequence[str], limit: int) -> None:
        """Check an order before it is counted or started.

        Raises:
            ValueError: for no variant or too many, an unknown attack or none, or a limit out of range.
        """
        chosen = _attacked(variants)
        if not 1 <= len(chosen) <= MAX_VARIANTS:
            raise ValueError(
                f"{len(chosen)} variants besides base were given; choose 1 to {MAX_VARIANTS} (base is always attacked)"
            )
        if not attacks_of(list(kinds)):
            raise ValueError("no attack is chosen; choose at least one")
        if not PROMPT_LIMITS[0] <= limit <= PROMPT_LIMITS[1]:
            raise ValueError(f"{limit} prompts were given; give a number from {PROMPT_LIMITS[0]} to {PROMPT_LIMITS[1]}")

    def cost(self, variants: int, kinds: Sequence[str], limit: int, model: str = DEFAULT_BASE) -> MeasurementCost:
        """Answers and seconds of attacking so many variants, timed by the newest measurement that finished here."""
        attacks = attacks_of(list(kinds))
        answers = sum(_answers(name, variants, limit) for name in (NO_ATTACK, *attacks))
        return self._cost(answers, _usual_seconds(variants, attacks, limit), _usual_of, model)

    def _read(self, folder: Path) -> AttackJob:
        request, message = self._request(folder), processes.last_output_line(folder)
        job = AttackJob(folder.name, folder, self._state(folder), message, request.variants, request.attacks)
        return _with_progress(job, request) if job.live else job

    def _parse_request(self, path: Path) -> AttackRequest:
        request = super()._parse_request(path)
        attacks_of(list(request.kinds))  # an attack that this version does not know makes the file unreadable
        return request

    def _arguments(self, folder: Path, resumed: bool) -> list[str]:
        request = self._request_to_run(folder, resumed)
        arguments = ["attack", "--out", str(folder / ROWS), "--limit", str(request.limit), "--model", request.model]
        for variant in request.variants:
            arguments += ["--variant", variant]
        for kind in request.kinds:
            arguments += ["--kind", kind]
        return arguments


def _attacked(variants: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(variant for variant in variants if variant != BASE))


def _with_progress(job: AttackJob, request: AttackRequest) -> AttackJob:
    """The job with the attack at work, the share that is done, and the time left as the command told it last."""
    found = PLACE.search(processes.last_output_line(job.folder, PLACE))
    place = min(int(found.group(1)), len(request.attacks)) if found else 0
    done_attacks = (NO_ATTACK, *request.attacks)[:place]
    whole = _usual_of(request)
    progress = sum(_usual_attack_seconds(name, len(request.variants), request.limit) for name in done_attacks) / whole
    told = LEFT.search(processes.last_output_line(job.folder, LEFT))
    estimate = whole * (1 - progress) if request.model == DEFAULT_BASE else None
    seconds_left = 60 * float(told.group(1)) if told else estimate
    return dataclasses.replace(job, place=place, progress=progress, seconds_left=seconds_left)


def _usual_seconds(variants: int, attacks: Sequence[str], limit: int) -> float:
    """On two cores with the default model."""
    return sum(_usual_attack_seconds(name, variants, limit) for name in (NO_ATTACK, *attacks))


def _usual_of(past: AttackRequest) -> float:
    return _usual_seconds(len(past.variants), past.attacks, past.limit)


def _usual_attack_seconds(name: str, variants: int, limit: int) -> float:
    extra = (variants + _CONTROLS) * _EXTRA_SECONDS.get(ATTACKS[name].kind, 0.0)
    return _answers(name, variants, limit) * _SECONDS_PER_ANSWER + extra


def _answers(name: str, variants: int, limit: int) -> int:
    """All answers under one attack, those of the base and the random vector included."""
    attack = ATTACKS[name]
    prompts = asked_count(attack, min(limit, _attackable_prompts()))
    return (variants + _CONTROLS) * prompts * attack.samples if attack.answers else 0


@cache
def _attackable_prompts() -> int:
    """Held-out bundled prompts that may be measured; they come with the project and do not change."""
    pairs = [pair for pair in split(load_pairs("bundled", "harmful").pairs, "test") if pair.answer]
    return len({pair.prompt_id for pair in measurable(pairs, load_attack_data(pairs))})
