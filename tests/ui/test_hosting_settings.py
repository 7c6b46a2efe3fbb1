"""An owner's switches, visitors' budgets and the gate, as values; and where state is kept."""

from __future__ import annotations

import dataclasses
import os
import re
import stat
from ipaddress import ip_network
from pathlib import Path
from types import SimpleNamespace

import pytest

from sku.ui.hosting import settings
from sku.ui.hosting.gate import Gate, Visitor, checked_coefficient
from sku.ui.hosting.rate_limit import RateLimit, RateLimited
from sku.ui.hosting.settings import Hosting, on_spaces, read_hosting, state_folder
from sku.ui.hosting.visitors import VISITOR_COOKIE, visitor_of

ME, YOU = Visitor("me", "1.1.1.1"), Visitor("you", "1.1.1.1")
KNOWN = {"base", "sku", "ga"}


def test_here_nothing_is_limited_but_size_and_on_a_space_strangers_are() -> None:
    here, space = read_hosting({}), read_hosting({"SPACE_ID": "me/sku"})
    assert here == Hosting()
    assert not here.public
    assert here.downloads
    assert space.public
    assert not space.downloads
    assert space.asks_a_minute > 0
    assert space.training_minutes > 0
    assert on_spaces({"SYSTEM": "spaces"})


def test_every_switch_can_be_set_and_wins_over_the_space() -> None:
    for one in dataclasses.fields(Hosting):
        if one.name == "proxy":  # it has a test of its own
            continue
        flag = isinstance(one.default, bool)
        for text, value in (("1", True), ("off", False)) if flag else (("7", 7), ("31", 31)):
            found = read_hosting({"SPACE_ID": "me/sku", f"SKU_{one.name.upper()}": text})
            assert getattr(found, one.name) == value


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("SKU_PUBLIC", "maybe", "write 1 (on) or 0 (off)"),
        ("SKU_COLUMNS", "many", "write a whole number"),
        ("SKU_COLUMNS", "0", "at least 1"),
        ("SKU_QUEUE", "-3", "must be"),
        ("SKU_ASKS_A_MINUTE", "-1", "0 (no limit) or more"),
    ],
)
def test_a_switch_that_makes_no_sense_is_named(name: str, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{name} is")) as fault:
        read_hosting({name: text})
    assert said in str(fault.value)


def test_state_is_kept_where_it_can_be(tmp_path: Path) -> None:
    usual, given, volume = tmp_path / "usual", tmp_path / "given", tmp_path / "volume"
    volume.mkdir()
    assert state_folder(usual, {}) == (usual, "")
    assert state_folder(usual, {"SKU_HOME": str(given)}) == (given, "")
    assert state_folder(usual, {"SPACE_ID": "x"}, volume) == (volume / "sku", "")
    assert state_folder(usual, {"SPACE_ID": "x", "SKU_HOME": str(given)}, volume) == (given, "")
    folder, said = state_folder(usual, {"SPACE_ID": "x"}, Path("/proc/nowhere"))
    assert folder == usual
    assert "lost when the Space restarts" in said


@pytest.mark.parametrize("environ", [{"SKU_HOME": "/proc/nowhere"}, {}])
def test_where_nothing_can_be_written_there_is_a_folder_for_now(environ: dict[str, str]) -> None:
    folder, said = state_folder(Path("/proc/nowhere"), environ)
    assert os.access(folder, os.W_OK)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700, "nobody else may read it"
    assert "/proc/nowhere is not writable" in said


def test_weights_of_a_folder_that_cannot_be_written_to_are_still_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models" / "one").mkdir(parents=True)
    monkeypatch.setattr(settings, "_writable", lambda _: False)  # a test may run as root, whom no mode stops
    folder, _ = state_folder(tmp_path, {})
    assert folder != tmp_path
    assert (folder / "models" / "one").is_dir()
    (folder / "runs").mkdir()
    assert not (tmp_path / "runs").exists()


def test_a_budget_slides_and_counts_for_all_keys_or_none() -> None:
    now = [0.0]
    budget = RateLimit("questions", 2, 60, lambda: now[0])
    budget.take({"me": 1, "address": 5})
    now[0] = 30
    budget.take({"me": 1, "address": 5})
    with pytest.raises(RateLimited, match=r"2 questions in a minute are allowed, .* try again in 30 s"):
        budget.take({"me": 1, "address": 5})
    for i in range(8):
        budget.take({f"other {i}": 1, "address": 5})
    with pytest.raises(RateLimited, match=r"questions in a minute are allowed, and they are used up"):
        budget.take({"another": 1, "address": 5})
    now[0] = 61
    budget.take({"me": 1, "address": 5})
    RateLimit("anything", 0, 60).take({"me": 1})


def test_one_visitor_cannot_spend_anothers_budget() -> None:
    gate = Gate(Hosting(asks_a_minute=2))
    for _ in range(2):
        gate.question(ME, "Why?", ["base"], KNOWN, 16)
    with pytest.raises(RateLimited, match=r"questions in a minute are allowed, and they are used up"):
        gate.question(ME, "Why?", ["base"], KNOWN, 16)
    gate.question(YOU, "Why?", ["base"], KNOWN, 16)


def test_a_refused_question_costs_nothing() -> None:
    gate = Gate(Hosting(asks_a_minute=1))
    for _ in range(3):
        with pytest.raises(ValueError, match="empty"):
            gate.question(ME, " ", ["base"], KNOWN, 16)
    gate.question(ME, "Why?", ["base"], KNOWN, 16)


def test_to_look_at_an_answer_is_bounded_and_costs_a_question() -> None:
    gate = Gate(Hosting(asks_a_minute=1, prompt_characters=10))
    for prompt, answer in (("x" * 11, "a"), ("x", "a" * 21), ("x", None)):
        with pytest.raises(ValueError, match="characters"):
            gate.given(ME, prompt, answer)
    assert gate.given(ME, "x", "a" * 20) == ("x", "a" * 20)
    with pytest.raises(RateLimited, match=r"questions in a minute are allowed, and they are used up"):
        gate.given(ME, "x", "a")


def test_uploads_and_updates_have_budgets_of_their_own() -> None:
    gate = Gate(Hosting(requests_a_minute=3, updates_a_minute=4, uploads_an_hour=1))
    gate.upload(ME)
    with pytest.raises(RateLimited, match="uploads"):
        gate.upload(ME)
    for _ in range(4):
        gate.update(ME)
    with pytest.raises(RateLimited, match="updates"):
        gate.update(ME)
    gate.request(ME)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.5, 10.5, "1", None, True, [1]])
def test_a_coefficient_is_a_number_from_0_to_10(value: object) -> None:
    with pytest.raises(ValueError, match="coefficient"):
        checked_coefficient(value)


def test_runs_belong_to_visitors_on_a_public_page_only() -> None:
    assert Gate(Hosting()).owner(ME) is None
    assert Gate(Hosting(public=True)).owner(ME) == "me"


def test_trainings_and_downloads_can_be_closed() -> None:
    gate = Gate(Hosting(training=False, downloads=False))
    with pytest.raises(ValueError, match="trainings are turned off"):
        gate.training(ME)
    with pytest.raises(ValueError, match="downloads are turned off"):
        gate.download()
    nobody = Visitor("nobody at 1.1.1.1", "1.1.1.1")
    with pytest.raises(ValueError, match="allow cookies"):
        Gate(Hosting(public=True)).training(nobody)
    Gate(Hosting()).training(nobody)
    gate = Gate(Hosting(trainings_a_day=1))
    gate.training(ME)
    with pytest.raises(RateLimited, match="again in"):
        gate.training(ME)


def test_a_visitor_is_named_by_their_secret() -> None:
    def request(secret: str) -> SimpleNamespace:
        return SimpleNamespace(cookies={VISITOR_COOKIE: secret}, headers={}, client=SimpleNamespace(host="10.0.0.1"))

    mine = visitor_of(request("s" * 43))
    assert "s" * 43 not in mine.owner
    assert mine.address == "10.0.0.1"
    assert visitor_of(request("short")).owner == "nobody at 10.0.0.1"
    assert visitor_of(request("t" * 43)).owner != mine.owner


def test_an_owner_names_their_proxies_and_1_names_one_on_a_space_only() -> None:
    assert read_hosting({"SKU_PUBLIC": "1"}).proxies == (), "a public page believes nobody by itself"
    named = read_hosting({"SKU_PROXY": "127.0.0.1, 10.1.2.3/8, 2001:db8::1"})
    assert named.proxies == ("127.0.0.1/32", "10.0.0.0/8", "2001:db8::1/128")
    space = read_hosting({"SPACE_ID": "me/sku"})
    assert "10.0.0.0/8" in space.proxies
    assert not [network for network in map(ip_network, space.proxies) if network.is_global], "no visitor is among them"
    assert read_hosting({"SPACE_ID": "me/sku", "SKU_PROXY": "0"}).proxies == ()
    for text in ("1", "yes", "10.0.0.0/40", "proxy.example", "127.0.0.1,"):
        with pytest.raises(ValueError, match="write the addresses or networks of your proxies"):
            read_hosting({"SKU_PUBLIC": "1", "SKU_PROXY": text})
