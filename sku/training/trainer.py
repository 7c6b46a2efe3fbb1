"""The training loop: train the adapter of a method on its data, into a run folder (`core/runs.py`).

Only LoRA factors are trained, with AdamW or Sophia, a linearly falling learning rate and an exact number of steps.
Accelerate handles devices and multiple processes. Every random draw is a function of seed and step, so a run that was
killed and resumed gives the same adapter, bit for bit.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, get_args

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor

from sku.core import runs
from sku.core.config import TrainConfig
from sku.core.errors import Cancelled
from sku.core.methods import METHODS
from sku.core.output_paths import check_output_folder
from sku.core.records import PairKind
from sku.core.run_lock import lock_run
from sku.core.runs import Manifest, Run
from sku.core.storage import home
from sku.models.base_answers import prompts_of_self
from sku.models.distributed import training_processes
from sku.models.memory import memory_errors_as_sentences
from sku.models.pretrained import provision_base
from sku.models.variant_model import VariantModel
from sku.models.variant_model import load_variant_model as load_model
from sku.training import checkpoint
from sku.training.gradients.rule import RuleInputs
from sku.training.gradients.step import gradient_step
from sku.training.kl_budget import KlBudget
from sku.training.lora import add_lora, prepare_factors
from sku.training.monitor import Monitor
from sku.training.objective import Objective
from sku.training.optimizers import make_optimizer
from sku.training.run_writer import RunWriter
from sku.training.stopwatch import Stopwatch
from sku.training.targets import resolve_targets
from sku.training.term_batches import TermBatches
from sku.training.train_data import (
    check_same_base,
    check_same_data,
    count_unwritten,
    gather_pairs,
    gather_written,
    read_sources,
    source_notes,
)

TrainReport = Callable[[dict[str, Any]], None]
"""A function that is called after every step with a line of `log.jsonl`, and with `{"doing": "..."}` before other slow
work."""


ADAPTER_BYTES = 100_000_000
"""Disk space that a run needs at least: adapter, checkpoint and log."""


class Diverged(ArithmeticError):
    """The loss or its gradient is no longer a finite number."""


def run_training(
    out: Path,
    config: TrainConfig,
    report: TrainReport = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
    resume: bool = False,
) -> Run:
    """Train an adapter into the run folder `out`.

    Args:
        out: a new folder; with `resume`, the folder of an earlier call.
        config: the settings. With `resume`, those in the folder are used instead.
        report: called after every step.
        cancelled: called after every step. If it returns True, a checkpoint is written and `Cancelled` is raised.
        resume: whether to continue from the newest checkpoint.

    Returns:
        The finished run.

    Raises:
        Cancelled: if `cancelled` returned True. The run's status is then cancelled, and `resume` continues it.
        FileExistsError: if `out` already holds a run and `resume` is False.
        Diverged: if the loss or its gradient is no longer finite. The newest checkpoint is kept.
        Collapsed: if a probe finds that the model no longer predicts normal text.
        ValueError: if the data or the settings cannot be used.
    """
    out = Path(out)
    if resume:
        runs.read_run(out)  # fails if there is none
    check_output_folder(out, ADAPTER_BYTES)
    accelerator = training_processes()
    with lock_run(out) if accelerator.is_main_process else nullcontext():
        return _make_run(out, config, report, cancelled, resume, accelerator)


def _make_run(
    out: Path,
    config: TrainConfig,
    report: TrainReport,
    cancelled: Callable[[], bool],
    resume: bool,
    accelerator: Accelerator,
) -> Run:
    """Train or compute the run, in a folder that no other process writes."""
    before: Manifest | None = None
    if resume:
        run = runs.read_run(out)
        if run.manifest.status == "finished":
            return run
        before = run.manifest
        config = TrainConfig.from_dict(before.config)
    elif (out / "run.json").exists() and runs.read_run(out).begun:
        raise FileExistsError(f"{out} already holds a run; continue it with --resume, or name another folder")
    if config.method == "combined":
        raise ValueError("method combined has nothing to train: it combines finished runs; use python -m sku combine")
    if not METHODS[config.method].terms and accelerator.num_processes > 1:
        raise ValueError(f"method {config.method} is computed by one process; start it without torchrun")
    if config.method == "random":
        from sku.training.random_vector import make_random_vector

        return make_random_vector(out, config)
    if METHODS[config.method].closed_form:
        from sku.training.closed_forms.compute import compute_closed_form

        return compute_closed_form(out, config, report, cancelled)
    if config.method == "gated":
        from sku.training.gated_run import make_gated_run

        return make_gated_run(out, config, report, cancelled)
    if not resume:
        _require_snapshots_within(config)
    if any(map(prompts_of_self, (*config.harmful, *config.normal))):
        check_output_folder(home(), flag="SKU_HOME")  # keeps the base's own answers
    return _Training(out, config, report, cancelled, before, accelerator).run()


class _Training:
    def __init__(
        self,
        out: Path,
        config: TrainConfig,
        report: TrainReport,
        cancelled: Callable[[], bool],
        before: Manifest | None,
        accelerator: Accelerator,
    ) -> None:
        self.out, self.config, self.report, self.cancelled = out, config, report, cancelled
        self.before = before
        """The manifest that was in the folder, if the training is resumed."""
        self.accelerator = accelerator
        TermBatches.check_equal_shares(config, accelerator.num_processes)

    def run(self) -> Run:
        self.watch = Stopwatch(self.before.spent if self.before else {})
        manifest = Manifest(
            method=self.config.method,
            config=self.config.to_dict(),
            base=self.config.model,
            base_fingerprint=self.before.base_fingerprint if self.before else "",
            data=self.before.data if self.before else {},
            answers_written=self.before.answers_written if self.before else 0,
            spent=self.watch.spent,
            default_coefficient=METHODS[self.config.method].coefficient,
            packages=runs.package_versions(),
            pid=os.getpid(),
        )
        self.writer = RunWriter(self.out, manifest, self.accelerator.is_main_process)
        try:
            with memory_errors_as_sentences():
                return self._steps(*self._prepare())
        except (Cancelled, KeyboardInterrupt):
            self.writer.update(status="cancelled", pid=None, spent=self.watch.spent)
            raise
        except Exception as error:
            reason = str(error) or type(error).__name__
            self.writer.update(status="failed", reason=reason, pid=None, spent=self.watch.spent)
            raise

    def _prepare(self) -> tuple[VariantModel, TermBatches]:
        sources = {kind: read_sources(self.config, kind) for kind in get_args(PairKind)}
        check_same_data(self.before, sources)
        for note in source_notes([*sources["harmful"], *sources["normal"]]):
            self._say(note)
        self._say(f"loading {self.config.model}")
        folder = provision_base(self.config.model, self._say)
        model = load_model(folder, self.config.dtype, str(self.accelerator.device))
        check_same_base(self.before, model.fingerprint)
        self._check_settings(model)
        self.watch.lap("loading")
        unwritten = count_unwritten(self.config, model.fingerprint)
        with self.accelerator.main_process_first():  # it keeps what the base writes, and the others read that
            harmful, harmful_facts = gather_pairs(self.config, "harmful", sources["harmful"], model, self._say)
            normal, normal_facts = gather_pairs(self.config, "normal", sources["normal"], model, self._say)
            written = gather_written(self.config, harmful, model, self._say)
        batches = TermBatches(harmful, normal, self.config, model.template, written)
        left_out = f"{batches.left_out} pairs left out: no answer, or a prompt too long" if batches.left_out else None
        facts = {"harmful": harmful_facts, "normal": normal_facts}
        self.watch.lap("answers")
        written_now = self.writer.manifest.answers_written + unwritten
        self.writer.update(
            base_fingerprint=model.fingerprint, data=facts, note=left_out, answers_written=written_now,
            spent=self.watch.spent,
        )  # fmt: skip
        return model, batches

    def _check_settings(self, model: VariantModel) -> None:
        """Check the settings that depend on the base, before the first long work.

        Raises:
            ValueError: if the base lacks a target, or has a shorter context than `max_tokens`.
        """
        targets = resolve_targets(model.network, self.config.targets)
        if targets != self.config.targets:
            self._say(f"adapting {', '.join(targets)}")
        if self.config.max_tokens > model.context:
            raise ValueError(
                f"max_tokens is {self.config.max_tokens}, but {self.config.model} has a context of {model.context} "
                "tokens; lower --max-tokens"
            )

    def _steps(self, model: VariantModel, batches: TermBatches) -> Run:
        config, accelerator = self.config, self.accelerator
        peft_model = add_lora(model.network, config)
        objective = Objective(peft_model, config, model.template.prefix_ids)
        parameters = {name: p for name, p in peft_model.named_parameters() if p.requires_grad}
        factors = {name: p for name, p in peft_model.named_parameters() if ".lora_" in name}
        resumed = checkpoint.has_checkpoint(self.out / "checkpoint")
        if not resumed or config.gradient_rule.name != "sum":  # rules such as masks look at the initial factors
            self._say("preparing the adapter")
            prepare_factors(peft_model, batches, config)
        gradient = gradient_step(objective, RuleInputs(peft_model, parameters, batches, config), accelerator)
        budget = KlBudget(config)
        optimizer = make_optimizer(parameters.values(), config)
        first, spent = checkpoint.load_checkpoint(self.out / "checkpoint", factors, optimizer, budget)
        accelerator.ddp_handler = DistributedDataParallelKwargs(find_unused_parameters=not objective.runs_all_blocks)
        wrapped, prepared = accelerator.prepare(objective, optimizer)
        self.writer.continue_from(first, spent)
        monitor = Monitor(peft_model, model.template, batches.normal, config)
        self.watch.lap("preparing")
        if not first:
            self._probe(monitor, 0)
        for step in range(first, config.steps):
            began = time.perf_counter()
            rate = config.learning_rate * (1 - step / config.steps) * min(1.0, (step + 1) / max(1, config.warmup))
            for group in prepared.param_groups:
                group["lr"] = rate
            objective.begin_step(step)
            drawn = batches.at(step, accelerator.process_index, accelerator.num_processes)
            terms, tokens = gradient.forward(wrapped, drawn)
            weights = budget.weights
            total: Any = sum(weights[name] * term for name, term in terms.items())
            line = self._step_values(terms, total, tokens)
            _require_finite("loss", step, line["total"])
            gradient.backward(total, terms, weights)
            norm = float(accelerator.clip_grad_norm_(parameters.values(), config.clip or math.inf))
            _require_finite("gradient", step, norm)
            prepared.step()
            prepared.zero_grad()
            budget.update(line["terms"])
            seconds = time.perf_counter() - began
            spent += seconds
            self._log(
                {
                    "step": step + 1,
                    **line,
                    **({"weights": weights} if config.kl_budget is not None else {}),
                    "gradient_norm": norm,
                    "learning_rate": rate,
                    "seconds": seconds,
                }
            )
            self.watch.lap("steps")
            self._probe(monitor, step + 1)
            if step + 1 in config.snapshots:
                self.writer.snapshot(peft_model, step + 1, spent)
            stop = self._any_process(self.cancelled()) and step + 1 < config.steps
            if stop or ((step + 1) % config.checkpoint_every == 0 and step + 1 < config.steps):
                self._checkpoint(step + 1, factors, optimizer, budget, spent)
            if stop:
                raise Cancelled(f"stopped after step {step + 1}; continue with: train --resume --out {self.out}")
        return self._finish(peft_model, spent)

    def _finish(self, peft_model: Any, spent: float) -> Run:
        self.writer.finish(peft_model, spent)
        self.watch.lap("steps")  # saving the adapter takes time, too
        self.writer.update(spent=self.watch.spent)
        return self.writer.run

    def _step_values(self, terms: dict[str, Tensor], total: Tensor, tokens: int) -> dict[str, Any]:
        """The terms, their weighted sum and the number of tokens of a step, of all processes together."""
        own = torch.stack([value.detach().float() for value in (*terms.values(), total)])
        values = self.accelerator.reduce(own, "mean").tolist()
        count = self.accelerator.reduce(torch.tensor(tokens, device=own.device), "sum")
        return {"terms": dict(zip(terms, values[:-1], strict=True)), "total": values[-1], "tokens": int(count)}

    def _any_process(self, said: bool) -> bool:
        """Whether one of the processes says so. All must stop after the same step, or the others would wait for it."""
        own = torch.tensor(float(said), device=self.accelerator.device)
        return bool(self.accelerator.reduce(own, "sum"))

    def _checkpoint(self, step: int, factors: dict[str, Any], optimizer: Any, budget: KlBudget, spent: float) -> None:
        if self.accelerator.is_main_process:
            checkpoint.save_checkpoint(self.out / "checkpoint", step, factors, optimizer, budget, spent)
        self.writer.update(step=step, seconds=spent, spent=self.watch.spent)

    def _log(self, line: dict[str, Any]) -> None:
        self.writer.add(runs.LOG, line)
        if self.accelerator.is_main_process:
            self.report(line)

    def _probe(self, monitor: Monitor, step: int) -> None:
        """Probe the model if it is time to. Every process does so, so that all of them stop at a collapse."""
        if monitor.due(step):
            line = monitor.look(step)
            self.writer.add(runs.PROBES, line | {"seconds": self.watch.lap("probes")})
            monitor.check(line)

    def _say(self, doing: str) -> None:
        if self.cancelled():
            raise Cancelled("stopped before the first step; nothing is lost")
        if self.accelerator.is_main_process:
            self.report({"doing": doing})


def _require_snapshots_within(config: TrainConfig) -> None:
    beyond = [step for step in config.snapshots if not 1 <= step <= config.steps]
    if beyond:
        raise ValueError(
            f"--snapshot {', '.join(map(str, beyond))}: the run has {config.steps} steps, so no adapter can be saved "
            f"then; give steps from 1 to {config.steps}"
        )


def _require_finite(what: str, step: int, value: float) -> None:
    if not math.isfinite(value):
        raise Diverged(
            f"the {what} of step {step + 1} is {value}; the newest checkpoint is kept: "
            "lower the learning rate, or clip the gradient, and train again"
        )
