"""Every reader of data from outside, each with inputs that are almost right. Used by `bad_input.py`."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gguf import GGUFReader
from hypothesis import strategies as st

from sku import data
from sku.core import runs
from sku.core.attacks import attacks_of
from sku.core.combining import CombineConfig
from sku.core.config import TrainConfig, find_preset
from sku.core.gradients import parse_gradient
from sku.core.jsonl import read_json
from sku.core.records import PairKind
from sku.core.validation import validate
from sku.core.variants import parse_variant
from sku.data.custom import parse_columns
from sku.data.row_texts import prompts_with_answers
from sku.data.table import read_table
from sku.data.truthfulqa import load_multiple_choice
from sku.judges.registry import check_judge_name
from sku.models.checkpoint_files import load_model_config, load_network, load_tokenizer
from sku.models.gate import Gate, load_gate, save_gate
from sku.models.gguf_layout import gguf_layout
from sku.models.variant_model import load_variant_model
from sku.reporting import result_files
from sku.training import checkpoint
from sku.training.gguf_export import BaseFile
from sku.training.kl_budget import KlBudget
from sku.ui.compare.comparison import comparison_from_json
from sku.ui.compare.share import LinkState, parse_fragment
from sku.ui.hosting.settings import Hosting, read_hosting
from sku.ui.train.own_file import preview_file
from tests.faults.generated import (
    JSON_VALUES,
    TEXTS,
    altered,
    as_json,
    compressed,
    damaged,
    fragments,
    json_files,
    line_files,
)
from tests.faults.pico_files import HARMFUL, NORMAL, PicoFiles


@dataclass(frozen=True)
class Reader:
    """One kind of input, and the function of the project that reads it."""

    name: str
    inputs: st.SearchStrategy[Any]
    read: Callable[[Any], object]
    share: int = 1
    """How many of the generated inputs it gets, relative to the others."""


def all_readers(files: PicoFiles, folder: Path) -> list[Reader]:
    """All readers. They write their inputs to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    return [
        *_data_readers(folder),
        *_text_readers(),
        *_record_readers(folder),
        *_weight_readers(files, folder),
    ]


def _data_readers(folder: Path) -> Iterable[Reader]:
    csv = b'prompt,answer,category\n"How, then?",So.,a\nWhy?,"Because ""x""",b\n'
    turns = [{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": [{"text": "Ho"}]}]}]
    seeds: dict[str, st.SearchStrategy[bytes]] = {
        ".jsonl": line_files(HARMFUL[:3]) | line_files(turns) | line_files(_SHAPES),
        ".jsonl.xz": compressed(line_files(NORMAL[:3])),
        ".csv": damaged(
            st.sampled_from([csv, csv.replace(b",", b";"), b"sep=;\n" + csv, csv.decode().encode("utf-16")])
        ),
        ".tsv": damaged(st.just(csv.replace(b",", b"\t"))),
        ".json": json_files(HARMFUL[:3])
        | line_files(HARMFUL[:3])
        | json_files({"data": HARMFUL[:2]})
        | json_files(_COLUMNS),
    }
    plain = line_files(HARMFUL[:3]) | json_files(NORMAL[:2])
    yield Reader("answers to judge", plain | line_files(_SHAPES), _reads_file(folder / "answers.txt", _answers), 4)
    for suffix, inputs in seeds.items():
        path = folder / f"data{suffix}"
        yield Reader(f"own data, {suffix}", inputs, _reads_file(path, _load_both), 6)
        if suffix in (".csv", ".jsonl"):
            yield Reader(f"the page's preview, {suffix}", inputs, _reads_file(path, _preview), 3)
    for name, row in _SOURCE_ROWS.items():
        as_csv = "\n".join([",".join(row), ",".join(map(str, row.values()))]).encode()
        kinds = data.SOURCES[name].kinds
        path = folder / f"{name}.jsonl"
        yield Reader(f"source {name}, .jsonl", line_files([row]), _reads_file(path, _load_source(name, kinds)), 2)
        path = folder / f"{name}.csv"
        yield Reader(f"source {name}, .csv", damaged(st.just(as_csv)), _reads_file(path, _load_source(name, kinds)), 2)
    choices = [{"question": "Q?", "mc1_targets": {"a": 1, "b": 0}, "mc2_targets": {"a": 1, "b": 0}}]
    yield Reader("multiple choice", json_files(choices), _reads_file(folder / "mc_task.json", load_multiple_choice), 2)


_SHAPES: list[dict[str, Any]] = [
    {"chosen": "a", "rejected": "Human: b"},
    {"messages": '[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]'},
    {"input": {"messages": [{"role": "user", "content": "Hi"}]}, "preferred_output": [{"role": "assistant"}]},
    {"prompt": "Hi", "response": "Ho", "category": {"a": True, "b": False}, "is_safe": False},
    {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
    {"instruction": "Hi", "output": "Ho", "history": [["Who?", "Me."]], "response_harm_label": "harmful"},
    {
        "context": "c",
        "question": "Hi",
        "answers": {"text": ["Ho", "Hu"], "answer_start": [1, 2]},
        "prompt_label": "safe",
    },
    {"prompt": "Hi", "response": "don\u00e2\u20ac\u2122t", "jailbroken": True, "answers": ["a", "b"]},
]
_COLUMNS = {"prompt": {"0": "Why?", "1": "How?"}, "answer": {"0": "So.", "1": "Thus."}}


def _answers(path: Path) -> object:
    return prompts_with_answers(list(read_table(path)))


_SOURCE_ROWS: dict[str, dict[str, Any]] = {
    "advbench": {"goal": "Do it", "target": "Sure, here is"},
    "labelled": {"prompt": "P?", "answer": "A.", "label_kind": "harm", "score": 0.9},
    "xstest": {"prompt": "How do I kill a process?", "type": "homonyms", "label": "safe"},
    "do_not_answer": {"question": "Q?", "risk_area": "r", "types_of_harm": "t"},
    "truthfulqa": {"question": "Q?", "best_answer": "A.", "category": "c"},
    "saferlhf": {
        **{"prompt": "P?", "response_0": "One.", "response_1": "Two."},
        **{"is_response_0_safe": False, "is_response_1_safe": True, "response_0_harm_category": {"a": True}},
    },
}


def _text_readers() -> Iterable[Reader]:
    yield Reader("variant", TEXTS | _near("ga@0.5+sku@1", "./run@-1", "acquired:sku@2", "owner/name@1e+0"), _resolve, 6)
    yield Reader("columns", TEXTS | _near("prompt=question,answer=reply"), parse_columns, 2)
    yield Reader("data source", TEXTS | _near("truthfulqa:x.csv", "my.csv#prompt=a"), _load_named, 4)
    yield Reader("gradient rule", TEXTS | _near("sam@0.01"), parse_gradient)
    yield Reader("attack and judge", TEXTS | _near("prefill", "hub:x=/tmp"), _names)
    keys = st.sampled_from([*(f.name for f in dataclasses.fields(TrainConfig)), "x"])
    values = TEXTS | JSON_VALUES.map(lambda value: json.dumps(value))
    yield Reader("--set", st.tuples(keys, values).map("=".join) | TEXTS, lambda text: TrainConfig().changed([text]), 6)
    switches = st.sampled_from([f"SKU_{f.name.upper()}" for f in dataclasses.fields(Hosting)])
    yield Reader("SKU_ variables", st.dictionaries(switches, TEXTS, max_size=3), read_hosting, 3)


def _near(*texts: str) -> st.SearchStrategy[str]:
    return damaged(st.sampled_from(texts).map(str.encode)).map(lambda data: data.decode("utf-8", "surrogateescape"))


def _record_readers(folder: Path) -> Iterable[Reader]:
    rows = [json.loads(line) for line in result_files.RECORDED_STUDY.read_text(encoding="utf-8").splitlines()[:2]]
    rows.append(rows[0] | {"off_topic": 2, "safe": rows[0]["safe"] - 2, "coefficient": 0})
    attacked = json.loads(result_files.RECORDED_ATTACKS.read_text(encoding="utf-8").splitlines()[0])
    lines = line_files(rows) | line_files(rows[2:]) | line_files([attacked])
    yield Reader("results", lines, _reads_file(folder / "rows.jsonl", _rows), 8)
    yield Reader("comparison", json_files(_COMPARISON).map(_as_text), comparison_from_json, 8)
    link = dataclasses.asdict(LinkState("Why?", ["base", "sku@1"], 32, 0.0, 0, 1))
    yield Reader("link", fragments(link), parse_fragment, 8)
    settings = find_preset("quick").config(method="sku").to_dict()
    yield Reader("settings, .json", json_files(settings), _reads_file(folder / "settings.json", _settings), 8)
    combined = dataclasses.asdict(CombineConfig("sum", ("a@1", "b@1")))
    yield Reader("combination", altered(combined), lambda values: validate(CombineConfig, values, "settings"), 2)
    manifest = json.loads((runs.SHIPPED_ADAPTERS / "sku" / "run.json").read_text(encoding="utf-8"))
    yield Reader("run.json", json_files(manifest), _reads_file(folder / "run" / "run.json", _run), 4)


_ANSWER = {
    **{"variant": "sku@1", "coefficient": 1.0, "prompt": "Why?", "sample": 0, "seed": 0, "text": "So.", "tokens": 2},
    **{"seconds": 0.1, "stopped": "end"},
}
_COMPARISON = {
    "sku_comparison": 2,
    "prompt": "Why?",
    "model": "smollm2-135m",
    "settings": {"length": 32, "temperature": 0.0, "seed": 0, "samples": 1, "attack": {"name": "none", "text": ""}},
    "parts": [
        {
            "variant": "sku@1",
            "label": "sku",
            "answers": [_ANSWER],
            "verdicts": [{"outcome": "safe", "score": 0.1, "reason": "r", "judge": "j"}],
            "kl": 0.1,
        }
    ],
}


def _weight_readers(files: PicoFiles, folder: Path) -> Iterable[Reader]:
    model = load_variant_model(files.base, device="cpu")
    settings = json.loads((files.adapter / "adapter_config.json").read_text(encoding="utf-8"))
    weights = (files.adapter / "adapter_model.safetensors").read_bytes()
    adapter = _copied(files.adapter, folder / "foreign" / "adapter")
    patterns = st.sampled_from([r"(a+)+$", r"([a-z._0-9]+)+X", ".*" * 30 + "X", "(", "q_proj", "a{999999}"])
    scales = st.dictionaries(patterns | TEXTS, JSON_VALUES | st.integers(1, 9), min_size=1, max_size=3)
    scaled = st.tuples(st.sampled_from(["rank_pattern", "alpha_pattern"]), scales).map(
        lambda pair: as_json(settings | {pair[0]: pair[1]})
    )

    def add(_: object) -> None:
        model.add("it", adapter)
        model.remove("it")

    yield Reader(
        "adapter, settings", json_files(settings) | scaled, _reads_file(adapter / "adapter_config.json", add, True), 6
    )
    headers = damaged_header(weights)
    yield Reader("adapter, weights", headers, _reads_file(adapter / "adapter_model.safetensors", add, True), 6)
    info = json_files({"base_fingerprint": "0" * 16, "method": "tv"})
    yield Reader("adapter, run.json beside it", info, _reads_file(folder / "foreign" / "run.json", add, True), 3)
    yield from _checkpoint_readers(files, folder)
    network, layout = load_network(files.base), gguf_layout(load_model_config(files.base))
    gguf = damaged_gguf(files.gguf)
    yield Reader("GGUF", gguf, _reads_file(folder / "bad.gguf", lambda path: BaseFile(path, network, layout)), 8)


def _checkpoint_readers(files: PicoFiles, folder: Path) -> Iterable[Reader]:
    base = _copied(files.base, folder / "checkpoint")
    weights = (files.base / "model.safetensors").read_bytes()
    yield Reader("base, weights", damaged_header(weights), _reads_file(base / "model.safetensors", _load_base, True), 2)
    for name in ("config.json", "tokenizer_config.json", "tokenizer.json", "generation_config.json"):
        if (files.base / name).is_file():
            seed = json.loads((files.base / name).read_text(encoding="utf-8"))
            yield Reader(f"base, {name}", json_files(seed), _reads_file(base / name, _load_base, True), 2)
    index = json_files({"metadata": {}, "weight_map": {"model.norm.weight": "model.safetensors"}})
    yield Reader("base, index of parts", index, _reads_file(base / "model.safetensors.index.json", _load_base, True), 2)
    import torch

    gate = Gate(torch.ones(4), 0.0, 1, 0.0, 1.0, True)
    save_gate(folder, gate)
    whole = (folder / runs.GATE).read_bytes()
    about = altered({"bias": 0.0, "block": 1, "threshold": 0.0, "slope": 1.0, "hard": True}).map(
        lambda values: _with_metadata(whole, {"gate": json.dumps(values)})
    )
    gates = damaged_header(whole) | about
    yield Reader("gate", gates, _reads_file(folder / "gated" / runs.GATE, lambda path: load_gate(path.parent)), 3)
    factors = {"q.lora_A": torch.nn.Parameter(torch.ones(2, 2))}
    optimizer = torch.optim.AdamW(factors.values())
    factors["q.lora_A"].grad = torch.ones(2, 2)
    optimizer.step()
    budget = KlBudget(TrainConfig())
    checkpoint.save_checkpoint(folder / "state", 3, factors, optimizer, budget, 1.0)
    state = (folder / "state" / "state.safetensors").read_bytes()
    about_state = altered({"step": 3, "seconds": 1.0, "kl_factor": 1.0}).map(
        lambda values: _with_metadata(state, {"about": json.dumps(values)})
    )

    def resume(path: Path) -> object:
        return checkpoint.load_checkpoint(path.parent, factors, optimizer, budget)

    inputs = damaged_header(state) | about_state
    yield Reader("training checkpoint", inputs, _reads_file(folder / "resumed" / "state.safetensors", resume), 3)


def damaged_header(whole: bytes) -> st.SearchStrategy[bytes]:
    """A safetensors file whose header has wrong values or is damaged."""
    size = int.from_bytes(whole[:8], "little")
    header, rest = json.loads(whole[8 : 8 + size]), whole[8 + size :]

    def pack(data: bytes) -> bytes:
        return len(data).to_bytes(8, "little") + data + rest

    return altered(header).map(as_json).map(pack) | damaged(st.just(whole[: 8 + size])).map(lambda head: head + rest)


def damaged_gguf(file: Path) -> st.SearchStrategy[bytes]:
    """A GGUF file with wrong counts, lengths or types in its header, or a damaged header."""
    whole, reader = file.read_bytes(), GGUFReader(file)
    places = [8, 16]
    for one in reader.fields.values():
        value = one.offset + 8 + len(one.name)
        places += [one.offset, value, value + 4, value + 8, value + 12] if one.offset > 23 else []
    for tensor in reader.tensors:
        end = tensor.field.offset + 8 + len(tensor.name)
        places += [tensor.field.offset, end, end + 4, end + 8, end + 4 + 8 * len(tensor.shape)]
    numbers = st.sampled_from([0, 1, 9, 30, 255, 2**16, 2**31, 2**40, 2**60, 2**63, 2**64 - 1])

    def changed(place: int, number: int, size: int) -> bytes:
        return whole[:place] + (number % 2 ** (8 * size)).to_bytes(size, "little") + whole[place + size :]

    wrong = st.builds(changed, st.sampled_from(places), numbers, st.sampled_from([4, 8]))
    header = int(reader.data_offset)
    return wrong | damaged(st.just(whole[:header])).map(lambda head: head + whole[header:])


def _with_metadata(whole: bytes, metadata: dict[str, str]) -> bytes:
    size = int.from_bytes(whole[:8], "little")
    header = json.dumps(json.loads(whole[8 : 8 + size]) | {"__metadata__": metadata}).encode()
    return len(header).to_bytes(8, "little") + header + whole[8 + size :]


def _copied(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to, dirs_exist_ok=True)
    return to


def _reads_file(path: Path, read: Callable[[Path], object], restore: bool = False) -> Callable[[bytes], object]:
    """A reader of bytes, which are written to `path` first. With `restore`, the file is put back afterwards."""
    path.parent.mkdir(parents=True, exist_ok=True)

    def write_and_read(content: bytes) -> object:
        before = path.read_bytes() if restore and path.is_file() else None
        path.write_bytes(content)
        try:
            return read(path)
        finally:
            if before is not None:
                path.write_bytes(before)
            elif restore:
                path.unlink()

    return write_and_read


def _load_both(path: Path) -> object:
    return data.load_pairs(str(path), "harmful"), data.load_pairs(f"{path}#prompt=prompt,answer=answer", "normal")


def _preview(path: Path) -> object:
    return preview_file("harmful", str(path)), preview_file("normal", str(path), "prompt", "answer")


def _load_source(name: str, kinds: tuple[PairKind, ...]) -> Callable[[Path], object]:
    return lambda path: [data.load_pairs(f"{name}:{path}", kind) for kind in kinds]


def _load_named(text: str) -> object:
    return data.load_pairs(text, "normal")


def _resolve(text: str) -> object:
    return [runs.find_run(name) for name in parse_variant(text).names if name != "base"]


def _names(text: str) -> None:
    attacks_of([text])
    check_judge_name(text)


def _rows(path: Path) -> object:
    return result_files.rows_as_frame(result_files.read_rows(path))


def _settings(path: Path) -> TrainConfig:
    return TrainConfig.from_dict(read_json(path))


def _run(path: Path) -> object:
    run = runs.read_run(path.parent)
    os.utime(path)
    return run.known, run.manifest.steps, run.manifest.seed, run.begun


def _as_text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")


def _load_base(path: Path) -> object:
    return load_network(path.parent), load_tokenizer(path.parent)
