"""The owner's list of servers: read whole or refused in one sentence; a variant names one and never an address."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sku.core import runs
from sku.core.servers import Server, find_server, read_servers
from sku.core.variants import parse_variant, resolve_variant


def test_a_list_in_the_environment_names_servers_and_models() -> None:
    found = read_servers({"SKU_SERVERS": "one=http://a:8000/v1#org/model, two=https://b/v1/"})
    assert found["one"] == Server("http://a:8000/v1", "org/model", name="one")
    assert found["two"] == Server("https://b/v1", name="two")
    assert found["one"].key_variable == "SKU_KEY_ONE"


def test_a_file_names_them_with_their_settings(tmp_path: Path, sku_home: Path) -> None:
    values = {"my-vllm": {"url": "http://a/v1", "concurrency": 9, "timeout": 5, "body": {"top_k": 0}, "key": "MY_KEY"}}
    path = tmp_path / "list.json"
    path.write_text(json.dumps(values), encoding="utf-8")
    (found,) = read_servers({"SKU_SERVERS": str(path)}).values()
    assert (found.name, found.concurrency, found.body, found.key_variable) == ("my-vllm", 9, {"top_k": 0}, "MY_KEY")
    assert read_servers({}) == {}
    sku_home.mkdir()
    path.rename(sku_home / "servers.json")
    assert list(read_servers({})) == ["my-vllm"], "without SKU_SERVERS, the file in SKU_HOME counts"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("nowhere.json", "no file and no list"),
        ("http://a/v1", "write NAME=URL"),
        ("a b=http://x/v1", "write NAME=URL"),
        ("a/b=http://x/v1", "is not allowed"),
        ("a=ftp://x/v1", "is no URL"),
        ("a=http://me:secret@x/v1", "holds a password"),
    ],
)
def test_a_wrong_list_is_one_sentence(given: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as error:
        read_servers({"SKU_SERVERS": given})
    assert "\n" not in str(error.value)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"url": "http://a/v1", "concurrency": 0}, "concurrency 0 of a server is too small"),
        ({"url": "http://a/v1", "name": "other"}, "second name"),
        ({"url": "http://a/v1", "address": 1}, "'address' is not known"),
        ({}, "'url' is missing"),
    ],
)
def test_a_wrong_setting_names_file_and_server(values: object, said: str, tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text(json.dumps({"x": values}), encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        read_servers({"SKU_SERVERS": str(path)})


def test_an_unknown_server_is_told_with_the_known_ones() -> None:
    servers = read_servers({"SKU_SERVERS": "one=http://a/v1"})
    with pytest.raises(ValueError, match="'two' is not known; choose one of 'one'"):
        find_server("two", servers)
    with pytest.raises(ValueError, match="set SKU_SERVERS"):
        find_server("two", {})


def test_a_variant_names_a_server() -> None:
    spec = parse_variant(" server:my-vllm ")
    assert (spec.server, str(spec), spec.is_base) == ("my-vllm", "server:my-vllm", False)
    assert parse_variant("sku@1").server is None


@pytest.mark.parametrize(
    "text",
    ["server:", "server:http://evil/v1", "server:a/b", "server:a@1", "server:a+sku@1", "server:-x", "server:a b"],
)
def test_no_variant_holds_an_address_a_coefficient_or_a_sum(text: str) -> None:
    with pytest.raises(ValueError, match="names no server"):
        parse_variant(text)


def test_a_sum_holds_no_server() -> None:
    for text in ("sku@1+server:a", "acquired:server:a", "server:a+sku"):
        with pytest.raises(ValueError, match=r"sums a model behind a server|names no server"):
            parse_variant(text)


def test_what_needs_weights_refuses_a_server() -> None:
    with pytest.raises(ValueError, match="needs weights"):
        resolve_variant("server:a", lambda name: runs.find_run(name).known)
    with pytest.raises(ValueError, match="has no weights on this machine"):
        runs.find_run("server:a")
    assert not runs.is_foreign("server:a")
