"""Other ways to write the same answers: Hugging Face's `generate`, PEFT's `set_adapter`, separate models, llama.cpp."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel

from sku.core import runs
from sku.core.variants import Variant, parse_variant
from sku.models.checkpoint_files import load_network
from sku.models.pretrained import DEFAULT_BASE, dtype_of, provision_base, provision_base_gguf
from sku.models.variant_model import VariantModel

Work = Callable[[], object]


def transformers_rivals(
    model: VariantModel, name: str, prompt: str, variants: Sequence[Variant], tokens: int
) -> Mapping[str, Work]:
    """What transformers and PEFT need for one column, and for one column after another.

    Args:
        model: writes the prompt's tokens.
        name: the base model's name.
        prompt: the question.
        variants: the columns, the base first; each other one has one adapter.
        tokens: new tokens of each column.
    """
    folder, dtype = provision_base(name), dtype_of(name)
    ids = torch.tensor([model.template.prompt_ids(prompt)])
    base = load_network(folder, dtype).eval()

    def write(network: Any) -> None:
        network.generate(ids, do_sample=False, max_new_tokens=tokens, min_new_tokens=tokens, pad_token_id=0)

    works: dict[str, Work] = {"HF generate, one column": lambda: write(base)}
    if len(variants) < 2:
        return works
    networks = [base, *(_merged(load_network(folder, dtype), variant) for variant in variants[1:])]
    switched = _with_adapters(load_network(folder, dtype), variants[1:])

    def switch() -> None:
        with torch.no_grad(), switched.disable_adapter():
            write(switched)
        for variant in variants[1:]:
            switched.set_adapter(_adapter(variant))
            write(switched)

    def separately() -> None:
        for network in networks:
            write(network)

    works["separate models, one after the other"] = separately
    works["PEFT set_adapter, one after the other"] = switch
    return works


def llama_cpp(model: VariantModel, name: str, prompt: str, tokens: int, threads: int) -> Work | None:
    """One stream of llama.cpp with the file that the default base was made from; None if that cannot be run."""
    try:
        import xllamacpp
    except ImportError:
        return None
    if name != DEFAULT_BASE:
        return None
    settings = xllamacpp.CommonParams()
    settings.model.path = str(provision_base_gguf())
    settings.n_ctx, settings.n_parallel, settings.warmup, settings.verbosity = 512, 1, False, 0
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = threads
    server = xllamacpp.Server(settings)
    asked = {"prompt": model.template.prompt_ids(prompt), "n_predict": tokens, "temperature": 0}
    asked |= {"cache_prompt": False, "ignore_eos": True}
    return lambda: server.handle_completions(asked)


def _adapter(variant: Variant) -> str:
    (name,) = variant.coefficients
    return name


def _folder(variant: Variant) -> Path:
    (name,) = parse_variant(str(variant)).names
    return runs.find_run(name).adapter


def _merged(network: Any, variant: Variant) -> Any:
    """A model of its own with the adapter merged in. How far does not matter for its speed, so it is added once."""
    return PeftModel.from_pretrained(network, _folder(variant)).merge_and_unload().eval()


def _with_adapters(network: Any, variants: Sequence[Variant]) -> Any:
    switched = PeftModel.from_pretrained(network, _folder(variants[0]), adapter_name=_adapter(variants[0]))
    for variant in variants[1:]:
        switched.load_adapter(_folder(variant), adapter_name=_adapter(variant))
    return switched.eval()
