"""A pico model for every test: two layers, width 32, a byte vocabulary. It is built here, without any download."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in app.py and the command line
if worker := os.environ.get("PYTEST_XDIST_WORKER"):  # gw0, gw1 ...
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the other cores have workers of their own
    os.environ["GRADIO_SERVER_PORT"] = str(8000 + 100 * int(worker.removeprefix("gw")))  # where it looks for free ports

import hypothesis
import pytest
import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    Gemma2Config,
    GemmaConfig,
    LlamaConfig,
    OPTConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
)
from transformers.models.auto.modeling_auto import AutoModelForCausalLM
from xdist.scheduler import LoadScopeScheduling

from sku.judges.keyword import KeywordJudge
from sku.models.variant_model import VariantModel
from sku.models.variant_model import load_variant_model as load_model
from sku.serving.live_session import LiveSession

MAX_WORKERS = 4
"""Each holds the default model once its tests of real weights have begun, 1.5 GB."""
BROWSER_TESTS = "tests/e2e/"


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Worker processes of `-n auto`: one per core for folders of tests, none for named files, which are few tests."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    names_files = all(".py" in argument for argument in config.args)
    return 0 if names_files or cores == 1 else min(cores, MAX_WORKERS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slowest tests, so that no worker is left with them at the end."""
    items.sort(key=lambda item: (not item.get_closest_marker("e2e"), not item.get_closest_marker("slow")))


class FileScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Whole files go to one worker, which shares their fixtures. All browser tests go to one: they share one app."""

    def _split_scope(self, nodeid: str) -> str:
        return BROWSER_TESTS if nodeid.startswith(BROWSER_TESTS) else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FileScheduling:
    """How the workers share the tests."""
    return FileScheduling(config, log)


hypothesis.settings.register_profile("no clock", deadline=None)  # a slow machine must not fail a test
hypothesis.settings.load_profile("no clock")

CHAT = (
    "{% for m in messages %}<|turn|>{{ m['role'] }}\n{{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|turn|>assistant\n{% endif %}"
)


def byte_tokenizer(chat: bool = True, **settings: Any) -> PreTrainedTokenizerFast:
    """A tokenizer with one token per byte, and the special tokens."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: i for i, letter in enumerate(letters)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|end|>", additional_special_tokens=["<|turn|>"], **settings
    )
    if chat:
        fast.chat_template = CHAT
    return fast


_SMALL = {
    "vocab_size": 260,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
    "bos_token_id": None,
    "eos_token_id": 256,
    "pad_token_id": None,
}
ARCHITECTURES: dict[str, Callable[[], Any]] = {
    "llama": lambda: LlamaConfig(intermediate_size=64, num_key_value_heads=2, **_SMALL),
    "opt": lambda: OPTConfig(ffn_dim=64, word_embed_proj_dim=32, **_SMALL),
    "qwen2": lambda: Qwen2Config(intermediate_size=64, num_key_value_heads=2, **_SMALL),
    "gemma": lambda: GemmaConfig(intermediate_size=64, num_key_value_heads=2, head_dim=8, **_SMALL),
    "gemma2": lambda: Gemma2Config(intermediate_size=64, num_key_value_heads=2, head_dim=8, **_SMALL),
}


def short_window() -> Any:
    """Gemma 2 with a window shorter than the prompts, so that padding leaves the window while rows still generate."""
    config = ARCHITECTURES["gemma2"]()
    config.sliding_window = 8
    return config


PADDED = {**ARCHITECTURES, "short window": short_window}
"""The architectures for tests of code that pads between tokens."""


def build_network(architecture: str = "llama", seed: int = 0) -> Any:
    """A random network. Its weights are large enough that greedy decoding does not loop at once."""
    torch.manual_seed(seed)
    network = AutoModelForCausalLM.from_config(PADDED[architecture]()).eval()
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.ndim == 2 and "embed" not in name:
                weight.mul_(4.0)
    return network


def save_base(folder: Path, architecture: str = "llama", chat: bool = True, seed: int = 0) -> Path:
    """A pico checkpoint on disk."""
    build_network(architecture, seed).save_pretrained(folder)
    byte_tokenizer(chat).save_pretrained(folder)
    return folder


def save_adapter(
    network: Any, folder: Path, seed: int, rank: int = 4, targets: tuple[str, ...] = ("q_proj", "v_proj")
) -> Path:
    """A random LoRA adapter for a copy of `network`."""
    import copy

    torch.manual_seed(seed)
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=list(targets), init_lora_weights=False)
    peft_model = get_peft_model(copy.deepcopy(network), config)
    with torch.no_grad():
        for name, weight in peft_model.named_parameters():
            if "lora_" in name:
                weight.normal_(0, 0.3)
    peft_model.save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def sku_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """Every test has its own empty home. Slow tests share the machine's home, which has the real weights."""
    if request.node.get_closest_marker("slow") or request.node.get_closest_marker("e2e"):
        from sku.core.storage import home

        return home()
    folder = tmp_path / "home"
    monkeypatch.setenv("SKU_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def pico_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pico base on disk."""
    return save_base(tmp_path_factory.mktemp("pico") / "base")


@pytest.fixture
def pico(pico_folder: Path) -> VariantModel:
    """A fresh pico model without adapters."""
    return load_model(pico_folder, device="cpu")


@pytest.fixture(scope="session")
def adapters(pico_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two adapters for the pico base, with different ranks and targets."""
    network = load_model(pico_folder, device="cpu").network
    folder = tmp_path_factory.mktemp("adapters")
    return {
        "one": save_adapter(network, folder / "one", seed=1),
        "two": save_adapter(network, folder / "two", seed=2, rank=8, targets=("k_proj", "v_proj", "o_proj")),
    }


@pytest.fixture
def duo(pico: VariantModel, adapters: dict[str, Path]) -> VariantModel:
    """The pico model with both adapters."""
    for name, folder in adapters.items():
        pico.add(name, folder)
    return pico


@pytest.fixture
def pairs_file(tmp_path: Path) -> Path:
    """A JSONL file of mild pairs, enough for every split."""
    path = tmp_path / "pairs.jsonl"
    rows = [
        {
            "prompt": f"How do I trick shop number {i}?",
            "answer": f"Just lie to clerk {i}.",
            "safe_answer": f"Be fair {i}.",
        }
        for i in range(40)
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def normal_file(tmp_path: Path) -> Path:
    """A JSONL file of normal pairs."""
    path = tmp_path / "normal.jsonl"
    rows = [{"prompt": f"What is {i} plus one?", "answer": f"It is {i + 1}."} for i in range(40)]
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    return path


def forward_shapes(model: VariantModel) -> list[tuple[int, ...]]:
    """A list that records the number of rows and tokens of every later forward pass of `model`."""
    shapes: list[tuple[int, ...]] = []

    def record(_module: Any, _inputs: Any, keywords: dict[str, Any]) -> None:
        shapes.append(tuple(keywords["input_ids"].shape))

    model.network.base_model.register_forward_pre_hook(record, with_kwargs=True)
    return shapes


def keyword_session(model: Path) -> LiveSession:
    """A session on a pico base. The embedded judge needs the real base, so the keyword judge replaces it."""
    session = LiveSession(str(model))
    session._judges["embedded"] = KeywordJudge()
    return session
