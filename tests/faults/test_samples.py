"""A few seconds of each command of this folder. The whole commands are run by hand; see `__init__.py`."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.faults import bad_input, faults, kills
from tests.faults.pico_files import PicoFiles, write_pico_files
from tests.faults.public_page import public_page
from tests.faults.soak import SETTINGS, Soak


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> PicoFiles:
    return write_pico_files(tmp_path_factory.mktemp("pico"))


@pytest.mark.parametrize("only", ["own data", "variant", "results", "link", "settings, .json", "GGUF"])
def test_generated_input_is_read_or_refused_in_a_sentence(only: str, tmp_path: Path) -> None:
    found = bad_input.run_all(tmp_path, 60, only)
    assert {name: outcome.faults for name, outcome in found.items() if outcome.faults} == {}


def test_an_error_of_a_library_is_a_fault_and_a_sentence_of_ours_is_none(tmp_path: Path) -> None:
    from sku.core.variants import parse_variant

    for read, is_fault in ((lambda: int("x"), True), (lambda: [][1], True), (lambda: parse_variant("@"), False)):
        with pytest.raises((ValueError, IndexError)) as caught:
            read()
        assert (bad_input.fault_of(caught.value) is not None) == is_fault


def test_a_killed_training_goes_on(files: PicoFiles, tmp_path: Path) -> None:
    job = next(job for job in kills.pico_jobs(files) if job.name == "train")
    found = kills.kill_all([job], tmp_path, kills=2)
    assert found["train"].kills >= 1
    assert found["train"].lost == []


def test_what_a_kill_loses_is_seen(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"half": ')
    (tmp_path / "log.jsonl").write_text('{"step": 1}\n{"st')
    (tmp_path / ".run.json.1.1").write_text("")
    assert kills.half_written(tmp_path) == ["run.json (JSONDecodeError)"], "the last line of a log may be cut"
    assert kills.temporary_files(tmp_path) == [".run.json.1.1"]


def test_a_network_that_ends_in_the_middle_is_said_and_leaves_nothing(files: PicoFiles, tmp_path: Path) -> None:
    assert faults.no_network(files, tmp_path) == []


def test_visitors_get_their_own_answers(files: PicoFiles, tmp_path: Path) -> None:
    with public_page(files.base, tmp_path / "page", **SETTINGS) as page:
        soak = Soak(page, 300)
        soak.learn(3)

        def ask_twice(number: int) -> None:
            visitor = faults.Stranger(page.url)
            for act in (soak.ask, soak.cancel, soak.upload, soak.ask):
                soak.count(act(visitor, number))

        threads = [threading.Thread(target=ask_twice, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert dict(soak.counts) == {"asked": 6, "cancelled": 3, "uploaded": 3}
        assert soak.wrong == []
        assert "Traceback" not in page.said
