"""lm-evaluation-harness on any variant: the variant is written as a plain checkpoint and measured like any other model.

An optional extra: `pip install lm-eval`. Task data come from where the harness takes them, mostly the hub.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sku.export import export


def harness(variant: str, tasks: Sequence[str], model: str, limit: int | None = None) -> dict[str, Any]:
    """Metrics of each task, as the harness names them.

    Args:
        variant: as a person writes it.
        tasks: names of the harness, such as mmlu.
        model: the base.
        limit: examples a task; None for all.

    Raises:
        ModuleNotFoundError: without lm-eval.
        OSError: if the data of a task can't be had.
    """
    try:
        import lm_eval
    except ModuleNotFoundError:
        raise ModuleNotFoundError("--tasks needs lm-evaluation-harness; install it with: pip install lm-eval") from None
    with tempfile.TemporaryDirectory() as folder:
        plain = export(variant, Path(folder) / "variant", "model", model)
        settings = {"pretrained": str(plain), "dtype": "float32"}
        found = lm_eval.simple_evaluate(model="hf", model_args=settings, tasks=list(tasks), limit=limit)
    results: dict[str, Any] = found["results"]
    return results
