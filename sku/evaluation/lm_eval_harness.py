"""lm-evaluation-harness on any variant: the variant is exported as a plain checkpoint and measured like other models.

Optional: `pip install lm-eval`. The harness takes task data from where it usually does, mostly the hub; your own task
file can name local data.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from sku.training.export import export_variant


def check_tasks(tasks: Sequence[str]) -> None:
    """Check that the harness is installed and knows the tasks, before anything long begins.

    Raises:
        ModuleNotFoundError: if lm-eval is not installed.
        ValueError: for an unknown task, or a task file that does not exist.
    """
    _lm_eval()
    manager = _task_manager()
    for task in tasks:
        if not (Path(task).is_file() if task.endswith(".yaml") else manager.match_tasks([task])):
            raise ValueError(
                f"lm-evaluation-harness has no task {task!r}; give names as `lm-eval ls tasks` prints them, or a task "
                "file (.yaml)"
            )


def run_harness(variant: str, tasks: Sequence[str], model: str, limit: int | None = None) -> dict[str, Any]:
    """Measure a variant on `tasks`: the metrics of each task, under the harness's own names.

    Args:
        variant: as a person writes it.
        tasks: names that the harness knows, such as mmlu, or task files (.yaml).
        model: the base.
        limit: examples of each task; None: all.

    Raises:
        ModuleNotFoundError: if lm-eval is not installed.
        OSError: if the data of a task are neither here nor can be fetched.
        ValueError: if the harness cannot run a task.
    """
    lm_eval = _lm_eval()
    with tempfile.TemporaryDirectory() as folder:
        plain = export_variant(variant, Path(folder) / "variant", "model", model)
        settings = {"pretrained": str(plain), "dtype": "float32"}
        place = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu"
        try:
            found = lm_eval.simple_evaluate(
                "hf", settings, list(tasks), limit=limit, device=str(place), task_manager=_task_manager()
            )
        except (ImportError, OSError):
            raise
        except Exception as error:  # a user's task file can make it raise anything
            raise ValueError(
                f"lm-evaluation-harness cannot run {', '.join(tasks)} ({type(error).__name__}: {error}); correct the "
                "task file or choose another task"
            ) from error
    results: dict[str, Any] = found["results"]
    return results


@functools.cache
def _task_manager() -> Any:
    """The harness's list of its tasks. It reads thousands of files, which takes seconds."""
    return _lm_eval().tasks.TaskManager()


def _lm_eval() -> Any:
    try:
        import lm_eval.tasks
    except ModuleNotFoundError:
        raise ModuleNotFoundError("--tasks needs lm-evaluation-harness; install it with: pip install lm-eval") from None
    return lm_eval
