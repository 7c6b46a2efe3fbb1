"""The parts of a bench. Each takes the same settings and returns its figures."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

import psutil
import torch

from sku.core.compute_threads import command_environment
from sku.core.config import PRESETS, DecodingConfig
from sku.core.errors import Unavailable
from sku.models.arithmetic import ARITHMETICS, PAGE_DEFAULT, Arithmetic, chosen_arithmetic
from sku.models.pretrained import DEFAULT_BASE
from sku.serving.bench import forms, rivals, training_step
from sku.serving.bench.figures import Figure, Taken, in_turn, milliseconds, ratio, seconds, timed
from sku.serving.bench.visitors import VARIANTS, VisitorLoad, measure_visitors, texts_alone
from sku.serving.live_session import LiveSession

PROMPT = "Explain in detail how bread is baked, from flour to loaf."
COEFFICIENTS = [round(0.3 * i, 1) for i in range(11)]
FULL_BATCH = 16
"""Prompts of a batch as large as an evaluation's."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class BenchSettings:
    """What all parts share."""

    model: str = DEFAULT_BASE
    rounds: int = 5
    tokens: int = 64
    visitors: int = 20
    visitor_seconds: float = 120.0
    prompts: int = 40
    """For the agreement of arithmetics."""
    say: Say = lambda _: None

    def session(self, arithmetic: Arithmetic = "fp32") -> LiveSession:
        """A loaded session."""
        session = LiveSession(self.model, arithmetic)
        session.load()
        return session

    def columns(self, session: LiveSession) -> tuple[str, ...]:
        """Three variants: those that the page shows first, or what fits another base."""
        if self.model == DEFAULT_BASE:
            return VARIANTS
        names = [entry.name for entry in session.choices() if entry.name != "base"]
        return ("base", *names[:2])

    def decoding(self) -> DecodingConfig:
        """Greedy answers of the usual length."""
        return DecodingConfig(max_new_tokens=self.tokens)


def measure_decoding(settings: BenchSettings) -> list[Figure]:
    """One column, three columns and a sweep in every arithmetic, beside other ways to write the same answers."""
    sessions = {form: settings.session(form) for form in ARITHMETICS}
    sessions = {form: session for form, session in sessions.items() if session.arithmetic == form}
    columns, config = settings.columns(sessions["fp32"]), settings.decoding()
    sweep = [f"{columns[-1].partition('@')[0]}@{c:g}" for c in COEFFICIENTS] if len(columns) > 1 else list(columns)
    works: dict[str, Callable[[], object]] = {}
    for form, session in sessions.items():
        for name, variants in (("one column", columns[:1]), ("three columns", columns), ("eleven coefficients", sweep)):
            works[f"{name}, {form}"] = lambda s=session, v=variants: s.answers([PROMPT], v, config)  # type: ignore[misc]
    plain, model = sessions["fp32"], sessions["fp32"].load()
    found = [plain.variant(text) for text in columns]
    works |= rivals.transformers_rivals(model, settings.model, PROMPT, found, settings.tokens)
    stream = rivals.llama_cpp(model, settings.model, PROMPT, settings.tokens, torch.get_num_threads())
    if stream:
        works["llama.cpp, one stream"] = stream
        works["llama.cpp, three streams one after the other"] = lambda: [stream() for _ in range(3)]
    times = in_turn(settings.rounds, works)
    written = max(answer.tokens for answer in plain.answers([PROMPT], columns, config))
    figures = [milliseconds(f"a token: {name}", taken, written) for name, taken in times.items()]
    return figures + _decoding_ratios(times, PAGE_DEFAULT if PAGE_DEFAULT in sessions else "fp32")


def _decoding_ratios(times: dict[str, Taken], form: Arithmetic) -> list[Figure]:
    wanted = [
        (f"three columns, {form}", "llama.cpp, three streams one after the other", "at most 1.3"),
        (f"one column, {form}", "llama.cpp, one stream", "at most 2"),
        ("HF generate, one column", f"one column, {form}", "at least 4"),
        ("separate models, one after the other", f"three columns, {form}", ""),
        ("PEFT set_adapter, one after the other", f"three columns, {form}", ""),
        (f"eleven coefficients, {form}", f"one column, {form}", "at most 2"),
        (f"three columns, {form}", "three columns, fp32", ""),
    ]
    return [
        ratio(f"{one} over {other}", times[one], times[other], aim)
        for one, other, aim in wanted
        if one in times and other in times and one != other
    ]


def measure_serving(settings: BenchSettings) -> list[Figure]:
    """Loading, the first word, a move of the slider, memory, and eleven coefficients one by one."""
    loading = timed(settings.session)
    session = settings.session()
    columns = settings.columns(session)
    session.answers([PROMPT], columns[:1], DecodingConfig(max_new_tokens=4))
    alone = _memory()
    names = [entry.name for entry in session.choices() if entry.name != "base"]
    session.answers([PROMPT], ["base", *names], DecodingConfig(max_new_tokens=4))
    full = _memory()
    config, model = settings.decoding(), session.load()

    def slide() -> None:
        for i in range(20):
            with model.rows([session.variant(f"{columns[-1].partition('@')[0]}@{0.05 * (i + 1):g}").coefficients]):
                pass

    sweep = [f"{columns[-1].partition('@')[0]}@{c:g}" for c in COEFFICIENTS] if len(columns) > 1 else ["base"]
    prompts = [f"{PROMPT} Part {i}." for i in range(FULL_BATCH)]
    times = in_turn(
        settings.rounds,
        {
            "first word": lambda: next(iter(_words(session, columns, config))),
            "slide": slide if len(columns) > 1 else lambda: None,
            "at once": lambda: session.answers([PROMPT], sweep, config),
            "one by one": lambda: [session.answers([PROMPT], [one], config) for one in sweep],
            "full batch": lambda: session.answers(prompts, columns, config),
        },
    )
    rows = FULL_BATCH * len(columns)
    return [
        seconds("loading the model", loading),
        milliseconds("first word of three columns", times["first word"]),
        milliseconds("a move of the slider, before the first forward pass", times["slide"], 20),
        Figure("memory, base alone", alone / 1e6, "MB"),
        Figure(f"memory with {len(names)} adapters over base alone", full / alone, "times", aim="at most 1.15"),
        ratio("eleven coefficients at once over one by one", times["at once"], times["one by one"]),
        milliseconds(f"a token of each of {rows} rows in a full batch", times["full batch"], rows * settings.tokens),
    ]


def _words(session: LiveSession, columns: Sequence[str], config: DecodingConfig) -> list[bool]:
    """Ask, and stop at the first word."""
    for states in session.ask(PROMPT, columns, config):
        if any(state.answer and state.answer.text for state in states):
            return [True]
    return [False]


def measure_start(settings: BenchSettings) -> list[Figure]:
    """A new process that loads the model and writes one token, with everything already on the disk."""
    command = [sys.executable, "-m", "sku", "answer", "Hello", "-v", "base", "--max-tokens", "1"]
    command += ["--model", settings.model]

    def start() -> None:
        subprocess.run(command, check=True, capture_output=True, env=command_environment())

    times = in_turn(settings.rounds, {"start": start})
    return [Figure("from starting Python to the first token", times["start"].seconds, "s", aim="under 3 s")]


def measure_beside_a_training(settings: BenchSettings) -> list[Figure]:
    """Three columns in every arithmetic while another process trains, and without it."""
    works = _three_columns(settings)
    quiet = in_turn(settings.rounds, works)
    with tempfile.TemporaryDirectory() as folder:
        run = ["train", "--preset", "quick", "--model", settings.model, "--out", str(Path(folder) / "run")]
        trains = subprocess.Popen(
            [sys.executable, "-m", "sku", *run],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=command_environment(),
        )
        try:
            time.sleep(20)  # loading and reading data
            if trains.poll() is not None:
                raise Unavailable(f"the training ended with code {trains.returncode} before it was measured")
            busy = in_turn(settings.rounds, works)
        finally:
            trains.terminate()
            trains.wait(60)
    figures = []
    for name in works:
        figures += [
            milliseconds(f"{name}, nothing beside", quiet[name], settings.tokens),
            milliseconds(f"{name}, a training beside", busy[name], settings.tokens),
            ratio(f"{name}: beside a training over alone", busy[name], quiet[name]),
        ]
    return figures


def measure_threads(settings: BenchSettings) -> list[Figure]:
    """Three columns with one thread, and with as many as there are cores; each in a process of its own."""
    figures = []
    for threads in sorted({1, torch.get_num_threads(), os.cpu_count() or 1}):
        with tempfile.TemporaryDirectory() as folder:
            words = ["bench", "--part", "columns", "--model", settings.model, "--rounds", str(settings.rounds)]
            words += ["--tokens", str(settings.tokens), "--out", folder]
            subprocess.run(
                [sys.executable, "-m", "sku", *words],
                check=True,
                capture_output=True,
                env=os.environ | {"OMP_NUM_THREADS": str(threads)},
            )
            figures += forms.figures_of(Path(folder), "columns", f", {threads} threads")
    return figures


def measure_columns(settings: BenchSettings) -> list[Figure]:
    """Three columns in every arithmetic."""
    taken = in_turn(settings.rounds, _three_columns(settings))
    return [milliseconds(name, one, settings.tokens) for name, one in taken.items()]


def _three_columns(settings: BenchSettings) -> dict[str, Callable[[], object]]:
    """Writes three columns, in every arithmetic that there is here."""
    sessions = {form: settings.session(form) for form in ARITHMETICS}
    config = settings.decoding()
    return {
        f"a token of three columns, {form}": lambda s=session: s.answers([PROMPT], settings.columns(s), config)  # type: ignore[misc]
        for form, session in sessions.items()
        if session.arithmetic == form
    }


def measure_judge(settings: BenchSettings) -> list[Figure]:
    """Judging three answers, and measuring their KL, beside writing them."""
    session = settings.session()
    columns, config = settings.columns(session), settings.decoding()
    answers = [answer.text for answer in session.answers([PROMPT], columns, config)]
    times = in_turn(
        settings.rounds,
        {
            "writing": lambda: session.answers([PROMPT], columns, config),
            "judging": lambda: session.verdicts(PROMPT, answers),
            "KL": lambda: session.divergence(PROMPT, answers[0], columns),
        },
    )
    return [
        seconds(f"writing {len(columns)} answers of {settings.tokens} tokens", times["writing"]),
        seconds("judging them", times["judging"]),
        seconds("measuring their KL from base", times["KL"]),
        ratio("judging over writing", times["judging"], times["writing"]),
    ]


def measure_visits(settings: BenchSettings) -> list[Figure]:
    """Visitors whose questions decode in one batch, and, as before that, each in its own and four at a time."""
    session = settings.session(chosen_arithmetic(PAGE_DEFAULT))
    session.start()
    load = VisitorLoad(settings.visitors, settings.visitor_seconds, 24, settings.columns(session))
    alone = texts_alone(session, load)
    figures = []
    for what, shares, at_once in (("a batch each, four at a time", False, 4), ("one batch", True, 24)):
        session.shares_batch = shares
        settings.say(f"visitors: {what}")
        found = measure_visitors(session, load, alone, at_once)
        cuts = quantiles(found.first_words, n=20) if len(found.first_words) > 1 else [0.0] * 19
        figures += [
            Figure(f"{what}: answered", found.answered, aim="" if not shares else "at least twice the row above"),
            Figure(f"{what}: first word, median", median(found.first_words or [0.0]), "s"),
            Figure(f"{what}: first word, 95 %", cuts[18], "s", aim="under 8 s" if shares else ""),
            Figure(f"{what}: answers that were another visitor's", found.mixed_up, aim="0"),
            Figure(f"{what}: answers that differ from those without company", found.other_text),
        ]
    return figures


def measure_training(settings: BenchSettings) -> list[Figure]:
    """A training step in the reference's shape, a Trainer's, and ours."""
    config = PRESETS["standard"].config(method="sku_directions", model=settings.model)
    shapes = training_step.Shapes(config, settings.say)
    with tempfile.TemporaryDirectory() as folder:
        return training_step.measure(shapes, settings.rounds, Path(folder))


def _memory() -> int:
    """The memory of this process in bytes."""
    gc.collect()
    return int(psutil.Process().memory_info().rss)
