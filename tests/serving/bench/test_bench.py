"""The bench on a pico base: that each part runs, what it writes, and that its counts are right."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from sku.judges.keyword import KeywordJudge
from sku.serving.bench import bench, visitors
from sku.serving.bench.bench import check_parts, run_bench
from sku.serving.bench.figures import BenchReport, Figure, Machine, Taken, in_turn, milliseconds, ratio
from sku.serving.bench.parts import BenchSettings
from sku.serving.bench.visitors import VisitorLoad, measure_visitors, texts_alone
from sku.serving.live_session import LiveSession
from tests.conftest import byte_tokenizer, keyword_session
from tests.models.test_few_bit_linear import rounded_network

MACHINE = Machine("a processor", 2, 1, "2", None, "pico", "2026-11-30", 0.5)


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A base on a 4-bit grid, judged without weights."""
    rounded_network().save_pretrained(tmp_path / "base")
    byte_tokenizer().save_pretrained(tmp_path / "base")
    monkeypatch.setattr(LiveSession, "judge", lambda *_: KeywordJudge())
    return tmp_path / "base"


def test_every_part_of_this_process_writes_its_figures(base: Path, tmp_path: Path) -> None:
    settings = BenchSettings(str(base), rounds=1, tokens=3, visitors=3, visitor_seconds=0.4, prompts=2)
    names = ["decoding", "arithmetics", "serving", "judge", "visitors", "columns"]
    report = run_bench(settings, names, tmp_path / "out")
    assert not report.skipped
    found = json.loads((tmp_path / "out" / "performance.json").read_text(encoding="utf-8"))
    assert list(found["parts"]) == names
    assert all(figures for figures in found["parts"].values())
    figures = {one.what: one.value for part in report.parts.values() for one in part}
    assert {"a token: one column, fp32", "a token: three columns, quick", "a token: HF generate, one column"} <= {
        *figures
    }
    assert figures["exact: equal greedy texts of 2"] == 100
    assert figures["exact: largest difference of a log-probability from fp32"] < 1e-3
    assert figures["quick: KL from fp32 on the base's own answers, nats per token"] > 0
    assert figures["one batch: answers that were another visitor's"] == 0
    document = (tmp_path / "out" / "performance.md").read_text(encoding="utf-8")
    assert "| quick: equal verdicts | 100 % |" in document


def test_a_part_that_cannot_be_measured_is_named_and_the_others_are_kept(
    pico_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LiveSession, "judge", lambda *_: KeywordJudge())
    settings = BenchSettings(str(pico_folder), rounds=1, tokens=2, prompts=1)
    report = run_bench(settings, ["columns", "arithmetics"], tmp_path)
    assert [one.what for one in report.parts["columns"]] == ["a token of three columns, fp32"]
    assert "lie on a 4-bit grid" in report.skipped["arithmetics"]
    assert "Not measured: arithmetics (" in (tmp_path / "performance.md").read_text(encoding="utf-8")


def test_an_unknown_part_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="part 'speed' is not known; choose from decoding, arithmetics"):
        run_bench(BenchSettings(), ["decoding", "speed"], tmp_path)
    check_parts([*bench.PARTS, *bench.ON_REQUEST])


def test_works_take_turns_and_the_first_round_does_not_count() -> None:
    order: list[str] = []

    def work(name: str, slow_first: float) -> Callable[[], None]:
        def run() -> None:
            if name not in order:
                time.sleep(slow_first)
            order.append(name)

        return run

    taken = in_turn(2, {"a": work("a", 0.3), "b": work("b", 0.0)})
    assert order == ["a", "b"] * 3
    assert taken["a"].seconds < 0.3, "the first call sets up what later ones reuse"


def test_figures_are_divided_and_written_with_their_aim() -> None:
    one, other = Taken(0.4, 0.2), Taken(0.1, 0.1)
    assert milliseconds("a token", one, 8) == Figure("a token", 50.0, "ms", 25.0)
    times = ratio("one over other", one, other, "at most 5")
    assert (times.value, times.cpu) == (4.0, 2.0)
    document = BenchReport(MACHINE, {"decoding": [times, Figure("memory", 1234.4, "MB")]}).as_markdown()
    assert "| one over other | 4 times | 2 times | at most 5 |" in document
    assert "| memory | 1,234 MB |  |  |" in document
    assert "no onnxruntime" in document


@pytest.mark.parametrize("shares", [True, False])
def test_visitors_are_counted_and_strangers_texts_are_noticed(
    pico_folder: Path, shares: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]

    def judging_takes(seconds: float) -> None:
        def judge(*_: object) -> None:
            now[0] += seconds

        monkeypatch.setattr(visitors, "_judge_and_measure", judge)

    monkeypatch.setattr(visitors, "time", SimpleNamespace(monotonic=lambda: now[0], perf_counter=time.perf_counter))
    session = keyword_session(pico_folder)
    session.start()
    session.shares_batch = shares
    load = VisitorLoad(visitors=4, seconds=8, tokens=3, variants=("base",))
    alone = texts_alone(session, load)
    assert len({text for texts in alone for text in texts}) > 1
    judging_takes(1)
    found = measure_visitors(session, load, alone, at_once=4)
    assert found.answered == 7, "the eighth was over with the time"
    assert 8 <= len(found.first_words) <= 11
    assert (found.mixed_up, found.other_text) == (0, 0)
    assert measure_visitors(session, load, alone[1:] + alone[:1], at_once=4).mixed_up > 0, "all texts are another's"
    judging_takes(100)
    assert measure_visitors(session, load, alone, at_once=4).answered == 0, "too late"
