"""Settings, checked at birth, and the presets. One dataclass a purpose; knows no torch and no file."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_origin, get_type_hints

from sku.core.methods import METHODS, find_method
from sku.core.validation import validate

Preservation = Literal["push", "keep", "off"]
PreserveAt = Literal["acquired", "negated"]


def _need(good: bool, name: str, value: object, wanted: str) -> None:
    if not good:
        raise ValueError(f"{name} is {value!r}; it must be {wanted}")


@dataclass(frozen=True)
class DecodingConfig:
    """How answers are generated."""

    max_new_tokens: int = 128
    temperature: float = 0.0
    """0 is greedy; above, sampling with the same noise for every variant of a prompt."""
    seed: int = 0
    samples: int = 1
    """Answers per prompt and variant."""

    def __post_init__(self) -> None:
        _need(1 <= self.max_new_tokens <= 4096, "max_new_tokens", self.max_new_tokens, "from 1 to 4096")
        _need(0 <= self.temperature <= 5, "temperature", self.temperature, "from 0 (greedy) to 5")
        _need(1 <= self.samples <= 256, "samples", self.samples, "from 1 to 256")
        _need(0 <= self.seed < 2**31, "seed", self.seed, "from 0 to 2147483647")


@dataclass(frozen=True)
class TrainConfig:
    """One training. The run folder keeps the one it used, whole."""

    method: str = "sku"
    model: str = "smollm2-135m"
    """A known base, a hub id or a folder."""
    harmful: tuple[str, ...] = ("bundled",)
    """Data sources of harmful pairs."""
    normal: tuple[str, ...] = ("self",)
    """Data sources of normal pairs; `self` is the base's own greedy answers to the bundled normal prompts."""
    harmful_limit: int | None = None
    """The largest number of harmful pairs to use, the first by id; None for all."""
    normal_limit: int | None = None
    steps: int = 200
    """Optimiser steps, counted exactly; not data passes."""
    batch_size: int = 4
    """Prompts per step and kind of rows, over all processes."""
    learning_rate: float = 1e-3
    """At the first step; falls linearly to 0 after the last."""
    weight_decay: float = 0.01
    clip: float | None = 1.0
    """Largest gradient norm; None clips nothing, as published."""
    rank: int = 32
    alpha: int = 16
    """The LoRA factors are scaled by alpha / rank."""
    targets: tuple[str, ...] = ("q_proj", "v_proj")
    max_tokens: int = 96
    """Tokens of prompt and answer together. A longer answer is cut; a pair with a longer prompt is left out."""
    preservation: Preservation = "keep"
    """push: away from base on normal text, as published; keep: towards it; off."""
    push_bound: float = 10.0
    """Nats a token beyond which push gains nothing more."""
    preserve_at: PreserveAt | None = None
    """Where normal answers (KL from base) and the contrast's safe answers are preserved: in the model in training,
    base + tau, as published, or in base - tau, which is what will be served (ours). None: as the method does."""
    opening_weight: float = 1.0
    """Preservation only: how much more each of an answer's first four tokens counts. They decide whether it refuses."""
    contrast_slope: float = 6.0
    """Slope of the contrast and preference terms; the larger, the sooner a pair counts as learnt."""
    refusals: bool = True
    """Contrast and preference: give a harmful pair that has no safe answer a bundled refusal; False leaves it out."""
    disassociation_answers: int = 1
    """Random answers per harmful prompt (K)."""
    weights: dict[str, float] = dataclasses.field(default_factory=dict)
    """Term weights that replace the method's."""
    like: str | None = None
    """For the random control: the adapter whose norms it takes."""
    seed: int = 0
    checkpoint_every: int = 20
    snapshots: tuple[int, ...] = ()
    """Steps after which the adapter is kept as a run of its own, `RUN/step-N`."""
    probe_every: int = 0
    """Steps between probes of the model that will be served (`training/monitor.py`), ends included; 0: never."""
    probe: str = "How do I pick the lock of a door?"
    """The prompt that a probe answers."""
    collapse_perplexity: float = 1000.0
    """The run stops when a probe finds normal answers above this perplexity: the model no longer writes normal text."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        known = find_method(self.method)
        _need(1 <= self.steps <= 1_000_000, "steps", self.steps, "from 1 to 1000000")
        _need(1 <= self.batch_size <= 4096, "batch_size", self.batch_size, "from 1 to 4096")
        _need(0 < self.learning_rate <= 1, "learning_rate", self.learning_rate, "above 0 and at most 1")
        _need(self.clip is None or self.clip > 0, "clip", self.clip, "above 0, or None for no clipping")
        _need(1 <= self.rank <= 1024, "rank", self.rank, "from 1 to 1024")
        _need(bool(self.targets), "targets", self.targets, "at least one module name, such as q_proj")
        _need(16 <= self.max_tokens <= 8192, "max_tokens", self.max_tokens, "from 16 to 8192")
        _need(self.preservation in ("push", "keep", "off"), "preservation", self.preservation, "push, keep or off")
        _need(self.push_bound > 0, "push_bound", self.push_bound, "above 0 nats a token")
        _need(self.preserve_at in (None, "acquired", "negated"), "preserve_at", self.preserve_at, "acquired or negated")
        if self.preserve_at == "negated" and not known.negated:
            raise ValueError(f"preserve_at negated makes no sense for {self.method}, whose vector is added")
        _need(0 < self.opening_weight <= 1000, "opening_weight", self.opening_weight, "above 0 and at most 1000")
        _need(0 < self.contrast_slope <= 1000, "contrast_slope", self.contrast_slope, "above 0 and at most 1000")
        _need(1 <= self.disassociation_answers <= 64, "disassociation_answers", self.disassociation_answers, "1 to 64")
        _need(self.probe_every >= 0, "probe_every", self.probe_every, "0 (never) or more")
        _need(bool(self.probe.strip()), "probe", self.probe, "a prompt")
        _need(self.collapse_perplexity > 1, "collapse_perplexity", self.collapse_perplexity, "above 1")
        _need(self.checkpoint_every >= 1, "checkpoint_every", self.checkpoint_every, "at least 1")
        unknown = sorted(set(self.weights) - set(known.terms))
        _need(not unknown, "weights", self.weights, f"for terms of {self.method}: {', '.join(known.terms) or 'none'}")
        _need(all(map(math.isfinite, self.weights.values())), "weights", self.weights, "finite numbers")
        if self.method == "random" and not self.like:
            raise ValueError("method random has nothing to imitate; name an adapter whose norms it takes with --like")

    @property
    def terms(self) -> dict[str, float]:
        """The terms of this run with their weights. A term of weight 0 is left out."""
        terms = METHODS[self.method].terms | self.weights
        if self.preservation == "off":
            terms.pop("preservation", None)
        return {name: weight for name, weight in terms.items() if weight}

    @property
    def preserved_negated(self) -> bool:
        """Whether normal and safe answers are preserved in base - tau instead of base + tau."""
        return (self.preserve_at or METHODS[self.method].preserve_at) == "negated"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainConfig:
        """The config that `to_dict` wrote, also after a trip through JSON.

        Raises:
            ValueError: if a name is not a setting, or a value of the wrong kind.
        """
        return validate(cls, values, "settings")

    def changed(self, settings: Sequence[str]) -> TrainConfig:
        """The config with `KEY=VALUE` settings; a value is JSON or plain text, a list may be written `a,b`.

        Raises:
            ValueError: for an unknown setting, or a value of the wrong kind.
        """
        return replace(self, **dict(map(_parse_setting, settings)))


def _parse_setting(text: str) -> tuple[str, Any]:
    """Name and value of `KEY=VALUE`."""
    name, equals, value = text.partition("=")
    kinds = get_type_hints(TrainConfig)
    if not equals or name not in kinds:
        close = difflib.get_close_matches(name, kinds, 1)
        meant = f"; did you mean {close[0]}?" if close else f"; settings are {', '.join(kinds)}"
        raise ValueError(f"setting {text!r} is not KEY=VALUE with a known KEY{meant}")
    try:
        plain = json.loads(value)
    except ValueError:
        plain = value
    if get_origin(kinds[name]) is tuple and not isinstance(plain, list):
        plain = value.split(",") if value else []
    return name, validate(kinds[name], plain, f"setting {name}", strict=False)


@dataclass(frozen=True)
class Preset:
    """Named settings on top of the defaults of `TrainConfig`; what a method recommends goes on top of them."""

    label: str
    note: str
    settings: dict[str, Any]

    def config(self, **changes: Any) -> TrainConfig:
        """The preset, what the method recommends, and `changes`; a change of None is no change.

        Weights of a preset count for terms that the method has.
        """
        named = {name: value for name, value in changes.items() if value is not None}
        method = find_method(named.get("method") or self.settings.get("method") or TrainConfig.method)
        recommended = self.settings | method.settings
        weights = self.settings.get("weights", {}) | method.settings.get("weights", {})
        weights = {name: weight for name, weight in weights.items() if name in method.terms}
        return TrainConfig(**recommended | named | {"weights": weights | named.get("weights", {})})


_PUBLISHED = {
    "normal": ("truthfulqa",),
    "harmful": ("saferlhf",),
    "steps": 1000,
    "batch_size": 2,
    "learning_rate": 2e-4,
    "clip": None,
    "max_tokens": 512,
    "preservation": "push",
    "disassociation_answers": 5,
    "checkpoint_every": 100,
    "dtype": "bfloat16",
}

# Keep with a weight of 5 on the base's own answers, the recipe that left normal text alone on the default model.
_SMALL = {"preservation": "keep", "weights": {"preservation": 5.0}}

PRESETS: dict[str, Preset] = {
    "tiny": Preset(
        "tiny",
        "A few steps, to try the machinery; too short to teach anything.",
        _SMALL | {"steps": 6, "batch_size": 2, "normal_limit": 12, "max_tokens": 64, "checkpoint_every": 2},
    ),
    "quick": Preset(
        "quick", "About 3 minutes on two cores.", _SMALL | {"steps": 30, "normal_limit": 32, "max_tokens": 80}
    ),
    "standard": Preset("standard", "At most 15 minutes on two cores.", _SMALL | {"steps": 160}),
    "opt-2.7b": Preset(
        "OPT-2.7B, as published",
        "The published run trains all weights; here LoRA on q and v, as for LLaMA, so that the coefficient stays free.",
        _PUBLISHED | {"model": "facebook/opt-2.7b"},
    ),
    "llama2-7b": Preset(
        "LLaMA-2-7B, as published",
        "LoRA rank 32, alpha 16 on q and v. Loss weights and learning rate are the OPT run's: unknown for LLaMA.",
        _PUBLISHED | {"model": "meta-llama/Llama-2-7b-hf", "gradient_checkpointing": True},
    ),
    "llama2-13b": Preset(
        "LLaMA-2-13B, as published",
        "LoRA rank 16, alpha 8 on q and v. Loss weights and learning rate are the OPT run's: unknown for LLaMA.",
        _PUBLISHED | {"model": "meta-llama/Llama-2-13b-hf", "rank": 16, "alpha": 8, "gradient_checkpointing": True},
    ),
}


def find_preset(name: str) -> Preset:
    """The preset called `name`.

    Raises:
        ValueError: for an unknown name, with the known ones.
    """
    if name not in PRESETS:
        raise ValueError(f"preset {name!r} is not known; choose one of {', '.join(PRESETS)}")
    return PRESETS[name]
