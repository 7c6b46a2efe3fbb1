"""The hub: one pinned file, fetched once; every failure says what to use instead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from unittest.mock import MagicMock

import huggingface_hub
import pytest
from huggingface_hub import errors

from sku.data import Unavailable, load_pairs
from tests.data.conftest import OLD_ROWS, Write, jsonl


def test_the_hub_is_asked_for_a_pinned_file(hub: MagicMock, write: Write) -> None:
    hub.return_value = str(write("train.jsonl", jsonl(*OLD_ROWS)))
    assert load_pairs("saferlhf", "harmful").name == "saferlhf"
    assert hub.call_args.kwargs == {
        "repo_id": "PKU-Alignment/PKU-SafeRLHF",
        "filename": "data/Alpaca-7B/train.jsonl",
        "repo_type": "dataset",
        "revision": "571c01336ee8477422dc0c3f7d412a583b3a4d3c",
        "local_files_only": True,
    }


def test_what_is_not_cached_is_downloaded(hub: MagicMock, write: Write) -> None:
    hub.side_effect = [errors.LocalEntryNotFoundError("no"), str(write("train.jsonl", jsonl(*OLD_ROWS)))]
    assert len(load_pairs("saferlhf", "harmful")) == 3
    assert [call.kwargs["local_files_only"] for call in hub.call_args_list] == [True, False]


@pytest.mark.parametrize("source", ["saferlhf", "truthfulqa"])
def test_offline_says_what_is_missing_and_what_to_use(
    hub: MagicMock, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.side_effect = errors.LocalEntryNotFoundError("no")
    monkeypatch.setattr(
        huggingface_hub, "get_hf_file_metadata", MagicMock(side_effect=ConnectionError("no route\nat all"))
    )
    with pytest.raises(Unavailable, match=rf"^{source} needs .* not on this machine, .*no route\)") as caught:
        load_pairs(source, "harmful" if source == "saferlhf" else "normal")
    assert "go online" in str(caught.value)
    assert f"local file ({source}:PATH) or the source bundled" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert hub.call_count == 1, "a machine without network must not wait for the download's retries"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            errors.GatedRepoError,
            "accept the terms at https://huggingface.co/datasets/PKU-Alignment/PKU-SafeRLHF and log",
        ),
        (errors.RepositoryNotFoundError, "the hub no longer has it: update sku"),
        (errors.RemoteEntryNotFoundError, "the hub no longer has it: update sku"),
        (errors.RevisionNotFoundError, "the hub no longer has it: update sku"),
    ],
)
def test_a_hub_that_refuses_is_explained(hub: MagicMock, error: Callable[..., Exception], message: str) -> None:
    hub.side_effect = error("no", response=MagicMock())
    with pytest.raises(Unavailable, match=message):
        load_pairs("saferlhf", "harmful")


def test_the_real_hub_client_in_offline_mode(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(Unavailable, match="HF_HUB_OFFLINE forbids fetching it"):
        load_pairs("saferlhf", "harmful")
