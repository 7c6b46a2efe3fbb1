"""The data that a combined run was trained on: that of all its parents together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sku.core.config import TrainConfig
from sku.core.runs import Run


class MergedData(NamedTuple):
    """Sources of several runs."""

    settings: dict[str, Any]
    """The settings of a `TrainConfig` that name the sources."""
    facts: dict[str, list[dict[str, Any]]]
    """`Manifest.data`"""


def merged_training_data(trained: Sequence[Run]) -> MergedData:
    """The sources of all runs without repetition, so that overlap of test prompts with training can be measured.

    A limit, or a category that not all runs left out, is not merged: every prompt counts that a run may have been
    trained on. If every run names its categories, all of these are merged. A random vector was trained on nothing.
    """
    configs = [(run, TrainConfig.from_dict(run.manifest.config)) for run in trained if run.manifest.method != "random"]
    sources: dict[str, dict[tuple[str, str | None], dict[str, Any]]] = {"harmful": {}, "normal": {}}
    for run, config in configs:
        for kind, specs in (("harmful", config.harmful), ("normal", config.normal)):
            facts = run.manifest.data.get(kind) or [{}] * len(specs)
            for spec, known in zip(specs, facts, strict=True):
                sources[kind].setdefault((spec, known.get("hash")), known)
    left_out = [set(config.leave_out) for _, config in configs]
    trained_on = [config.categories for _, config in configs]
    settings = {kind: tuple(spec for spec, _ in found) for kind, found in sources.items()}
    facts_by_kind = {kind: list(found.values()) for kind, found in sources.items() if all(found.values())}
    never = tuple(sorted(set.intersection(*left_out))) if left_out else ()
    only = tuple(sorted({name for names in trained_on for name in names})) if all(trained_on) else ()
    return MergedData(settings | {"leave_out": never, "categories": only}, facts_by_kind)
