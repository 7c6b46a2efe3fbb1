"""lm-evaluation-harness on any variant: the variant is written as a plain checkpoint and measured like any other model.

An optional extra: `pip install lm-eval`. Task data come from where the harness takes them, mostly the hub; a task file
of one's own can name local data.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from sku.training.export import export_variant


def check_tasks(tasks: Sequence[str]) -> None:
    """Whether the harness is here and has the tasks, before anything long begins.

    Raises:
        ModuleNotFoundError: without lm-eval.
        ValueError: for a task that it does not know, or a task file that is not there.
    """
    manager = _lm_eval().tasks.TaskManager()
    for task in tasks:
        if not (Path(task).is_file() if task.endswith(".yaml") else manager.match_tasks([task])):
            raise ValueError(
                f"lm-evaluation-harness has no task {task!r}; give names as `lm-eval ls tasks` prints them, or a task "
                "file (.yaml)"
            )


def run_harness(variant: str, tasks: Sequence[str], model: str, limit: int | None = None) -> dict[str, Any]:
    """Metrics of each task, as the harness names them.

    Args:
        variant: as a person writes it.
        tasks: names of the harness, such as mmlu, or task files (.yaml).
        model: the base.
        limit: examples a task; None for all.

    Raises:
        ModuleNotFoundError: without lm-eval.
        OSError: if the data of a task can't be had.
        ValueError: if the harness can't run a task.
    """
    lm_eval = _lm_eval()
    with tempfile.TemporaryDirectory() as folder:
        plain = export_variant(variant, Path(folder) / "variant", "model", model)
        settings = {"pretrained": str(plain), "dtype": "float32"}
        place = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu"
        try:
            found = lm_eval.simple_evaluate("hf", settings, list(tasks), limit=limit, device=str(place))
        except (ImportError, OSError):
            raise
        except Exception as error:  # whatever a task file of somebody's own makes it raise
            raise ValueError(
                f"lm-evaluation-harness cannot run {', '.join(tasks)} ({type(error).__name__}: {error}); correct the "
                "task file or choose another task"
            ) from error
    results: dict[str, Any] = found["results"]
    return results


def _lm_eval() -> Any:
    try:
        import lm_eval.tasks
    except ModuleNotFoundError:
        raise ModuleNotFoundError("--tasks needs lm-evaluation-harness; install it with: pip install lm-eval") from None
    return lm_eval
