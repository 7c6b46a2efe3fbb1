"""Background jobs that measure variants: what evaluations and attack measurements share.

Such a job's folder holds a request, as JSON, and result rows once the job is finished.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from pydantic import TypeAdapter

from sku.core import storage
from sku.core.file_cache import read_if_changed
from sku.models.pretrained import DEFAULT_BASE
from sku.serving import processes
from sku.serving.jobs import AnyJob, JobManager, JobState

ROWS = "rows.jsonl"


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasurementRequest:
    """What the request of every measurement says."""

    variants: tuple[str, ...]
    limit: int
    """Prompts of each set."""
    model: str = DEFAULT_BASE
    began: float | None = None
    """Unix time of the start; None if it was resumed, so that its time is not known."""


AnyRequest = TypeVar("AnyRequest", bound=MeasurementRequest)


class MeasurementCost(NamedTuple):
    """What a measurement will take."""

    answers: int
    """Those of the base and of other controls included."""
    seconds: float | None
    """None if this model was never timed."""
    source: str
    """What the time is taken from."""


class MeasurementJobs(JobManager[AnyJob], Generic[AnyJob, AnyRequest]):
    """The measurements of one kind that the page starts and watches."""

    request_name: ClassVar[str]
    """The file of the request."""
    request_format: ClassVar[TypeAdapter[Any]]
    """Reads a request."""
    untimed: ClassVar[str]
    """What was never timed here, such as `evaluation of`; the model's name follows."""

    def _order(self, request: AnyRequest, owner: str | None, files: Mapping[str, str] = {}) -> AnyJob:
        """Start a job that does what `request` asks for; `files` (name to text) are put beside the request."""
        return self._start("", {self.request_name: _as_json(request), **files}, owner)

    def _request(self, folder: Path) -> AnyRequest:
        path = folder / self.request_name
        try:
            return read_if_changed(path, self._parse_request)
        except (ValueError, OSError) as error:
            raise ValueError(f"{path} cannot be read ({error}); delete the {self.noun} and start it again") from error

    def _parse_request(self, path: Path) -> AnyRequest:
        request: AnyRequest = self.request_format.validate_json(path.read_bytes())
        return request

    def _request_to_run(self, folder: Path, resumed: bool) -> AnyRequest:
        """The request of a job whose process is about to start. The time of a resumed job is not known."""
        request = self._request(folder)
        if resumed:
            storage.write_atomically(folder / self.request_name, _as_json(dataclasses.replace(request, began=None)))
        return request

    def _state(self, folder: Path) -> JobState:
        if processes.find_process(folder) is not None:
            return "running"
        if (folder / ROWS).is_file():
            return "finished"
        return "cancelled" if processes.was_cancelled(folder) else "failed"

    def _cost(self, answers: int, usual: float, usual_of: Callable[[AnyRequest], float], model: str) -> MeasurementCost:
        """The cost of so many answers, timed by the newest measurement of `model` that finished here.

        Args:
            answers: the number of answers.
            usual: seconds on two free cores with the default model.
            usual_of: the same for an earlier request.
            model: the base model.
        """
        for job in self.all():
            past = self._request(job.folder)
            if job.state == "finished" and past.began and past.model == model:
                took = (job.folder / ROWS).stat().st_mtime - past.began
                source = f"as the last {self.noun} took on this machine"
                return MeasurementCost(answers, usual * took / usual_of(past), source)
        if model == DEFAULT_BASE:
            source = f"as on two free cores; no {self.noun} has finished on this machine yet"
            return MeasurementCost(answers, usual, source)
        return MeasurementCost(answers, None, f"no {self.untimed} {model} has finished on this machine yet")


def _as_json(request: MeasurementRequest) -> str:
    return json.dumps(dataclasses.asdict(request)) + "\n"
