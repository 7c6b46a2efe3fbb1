"""The prompts that runs were trained on, as far as their data can be loaded. Needs no model.

`run.json` names the sources of a run. Every prompt counts that the run could have been trained on: also those whose
pairs were dropped later, because the base refused to answer or the prompt was too long.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from sku.core import runs
from sku.core.config import TrainConfig
from sku.core.records import PairKind
from sku.core.runs import Run
from sku.data import spec_in_folder
from sku.models.base_answers import prompts_of_self
from sku.training.train_data import choose_training_pairs


@dataclass(frozen=True)
class TrainingPrompts:
    """Training prompts of several runs, and what is known to be wrong with them."""

    prompts: frozenset[str] = frozenset()
    """Harmful and normal prompts."""
    missing: tuple[str, ...] = ()
    """The sources that could not be loaded."""
    changed: tuple[str, ...] = ()
    """The sources that are no longer as they were when a run was trained. Their prompts of today are used."""

    @property
    def warning(self) -> str:
        """What is wrong and what helps, in one line; empty if nothing is wrong."""
        parts = []
        if self.missing:
            parts.append(
                f"these training data are not here, so overlap with them is not seen: {', '.join(self.missing)}; give "
                "--training-data the folder that holds the files"
            )
        if self.changed:
            parts.append(
                f"these training data have changed since a run was trained, and are used as they are now: "
                f"{', '.join(self.changed)}"
            )
        return "; ".join(parts)


def load_training_prompts(trained: Iterable[Run], folder: Path | None = None) -> TrainingPrompts:
    """Load the training prompts of runs.

    Args:
        trained: the runs. A random vector has no training prompts, and those of a foreign adapter are not known.
        folder: where files are looked for first. The shipped runs name their files without a folder.

    Raises:
        ValueError: if a file cannot be read.
    """
    prompts: set[str] = set()
    missing: dict[str, None] = {}
    changed: dict[str, None] = {}
    for run in trained:
        if run.foreign:
            missing[f"what {run.name} was trained on"] = None
            continue
        config = TrainConfig.from_dict(run.manifest.config)
        for kind, spec, recorded_hash in _sources(run, config):
            try:
                source = choose_training_pairs(config, kind, spec_in_folder(spec, folder) if folder else spec)
            except OSError:  # no such file, or not to be had from the hub
                missing[prompts_of_self(spec) or spec] = None
                continue
            if recorded_hash not in (None, source.data.content_hash):
                changed[prompts_of_self(spec) or spec] = None
            prompts |= {pair.judged_prompt for pair in source.chosen}
    return TrainingPrompts(frozenset(prompts), tuple(missing), tuple(changed))


def _sources(run: Run, config: TrainConfig) -> Iterator[tuple[PairKind, str, str | None]]:
    """Kind, spec and recorded content hash of every source that a run was trained on."""
    if config.method == "random":
        return
    if config.method == "gated":  # its adapter was trained on the prompts of another run
        like = runs.find_run(str(config.like))
        yield from _sources(like, TrainConfig.from_dict(like.manifest.config))
    for kind, specs in (("harmful", config.harmful), ("normal", config.normal)):
        facts = run.manifest.data.get(kind) or [{}] * len(specs)
        for spec, known in zip(specs, facts, strict=True):
            yield cast(PairKind, kind), spec, known.get("hash")
