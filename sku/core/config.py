"""The settings of a training and of an answer, and the presets. Every value is checked when the object is made.

This module does not import torch and reads no file.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_origin, get_type_hints

from sku.core.gradients import ChosenGradient, parse_gradient
from sku.core.methods import METHODS, Optimizer, find_method
from sku.core.terms import TERMS
from sku.core.validation import validate

Preservation = Literal["push", "keep", "off"]
PreserveAt = Literal["acquired", "negated"]


def _require(valid: bool, name: str, value: object, wanted: str) -> None:
    if not valid:
        raise ValueError(f"{name} is {value!r}; it must be {wanted}")


@dataclass(frozen=True)
class DecodingConfig:
    """How answers are generated."""

    max_new_tokens: int = 128
    temperature: float = 0.0
    """0 decodes greedily. Above 0, tokens are sampled, with the same random numbers for every variant of a prompt."""
    seed: int = 0
    samples: int = 1
    """Answers per prompt and variant."""

    def __post_init__(self) -> None:
        _require(1 <= self.max_new_tokens <= 4096, "max_new_tokens", self.max_new_tokens, "from 1 to 4096")
        _require(0 <= self.temperature <= 5, "temperature", self.temperature, "from 0 (greedy) to 5")
        _require(1 <= self.samples <= 256, "samples", self.samples, "from 1 to 256")
        _require(0 <= self.seed < 2**31, "seed", self.seed, "from 0 to 2147483647")


@dataclass(frozen=True)
class TrainConfig:
    """All settings of one training. The run folder keeps a full copy of the settings that were used."""

    method: str = "sku"
    model: str = "smollm2-135m"
    """The base model: the name of a known base, a hub id, or a folder."""
    harmful: tuple[str, ...] = ("bundled",)
    """Data sources of harmful pairs."""
    normal: tuple[str, ...] = ("self",)
    """Data sources of normal pairs. `self` means the base's own greedy answers to the bundled normal prompts."""
    harmful_limit: int | None = None
    """The largest number of harmful pairs to use from each source, in order of their ids; None uses all."""
    normal_limit: int | None = None
    """The same limit for normal pairs."""
    categories: tuple[str, ...] = ()
    """Categories of harmful pairs to train on; empty means all. One adapter per category gives one coefficient per
    category."""
    leave_out: tuple[str, ...] = ()
    """Categories of harmful pairs that are not trained on, to measure whether forgetting reaches them all the same."""
    hold_out: bool = True
    """Whether about 3 in 10 prompts of your own files stay out of training, so that the run can be measured on prompts
    that it has not seen. False trains on every row. Sources of the project are always split."""
    steps: int = 200
    """The number of optimiser steps, not of passes over the data."""
    batch_size: int = 4
    """Prompts per step for each kind of row, summed over all processes."""
    learning_rate: float = 1e-3
    """The learning rate of the first step. It falls linearly and reaches 0 after the last step."""
    warmup: int = 0
    """Steps over which the learning rate rises from near 0."""
    weight_decay: float = 0.01
    optimizer: Optimizer | None = None
    """AdamW or Sophia; None: as the method says."""
    gradient: str | None = None
    """How the gradients of forgetting and of keeping terms become one step, as NAME or NAME@NUMBER
    (`core/gradients.py`); None: as the method says."""
    clip: float | None = 1.0
    """The largest gradient norm; larger gradients are scaled down to it. None turns clipping off, as published."""
    rank: int = 32
    alpha: int = 16
    """The product of the LoRA factors is multiplied by alpha / rank."""
    targets: tuple[str, ...] = ("q_proj", "v_proj")
    """Names of the modules that get a LoRA adapter. `all` means every linear layer between the embeddings and the
    output head, `mlp` those outside attention. If the base has none of the default names, its own query and value
    layers are used."""
    layers: tuple[float, float] = (0.0, 1.0)
    """The decoder blocks that get a LoRA adapter, as fractions of the depth: from the first, up to but not including
    the second."""
    max_tokens: int = 96
    """The most tokens of prompt and answer together. A longer answer is cut off; a pair whose prompt leaves no room for
    an answer is left out."""
    preservation: Preservation = "keep"
    """What the preservation term does on normal text: `push` moves the model away from the base, as published; `keep`
    holds it close to the base; `off` drops the term."""
    push_bound: float = 10.0
    """An upper bound on what `push` gains, in nats per token. The published loss has none."""
    preserve_at: PreserveAt | None = None
    """The model in which normal answers, and the safe answers of the contrast term, are preserved. `acquired` is the
    model in training, base + tau, as published; `negated` is the model that will be served, base - tau (ours). None
    uses the method's default."""
    opening_weight: float = 1.0
    """In the preservation term, the weight of each of an answer's first four tokens; later tokens have weight 1. The
    first tokens decide whether an answer is a refusal."""
    contrast_slope: float = 6.0
    """The slope of the contrast and preference terms. With a larger slope, a pair counts as learnt sooner."""
    beta: float | None = None
    """The slope of the losses of NPO, SimNPO, Safe Unlearning, AltPO and answer preservation. With a larger slope, an
    answer counts as forgotten sooner. In UNDIAL, how much the logit of a harmful token is lowered. None uses the
    method's default."""
    refusals: bool = True
    """For terms that use safe answers, such as contrast and preference. True gives a bundled refusal to every harmful
    pair that has no safe answer; False leaves such pairs out."""
    forget_margin: float = 2.0
    """In the forgetting term, how much less likely a harmful answer is to become, in nats per token."""
    given_tokens: tuple[int, ...] = (0,)
    """Of these numbers one is drawn for every refusal that is taught: so many tokens of the harmful answer come before
    the refusal. With numbers above 0 the model learns to stop in the middle of a harmful answer."""
    kl_budget: float | None = None
    """The KL from base that a step may have, in nats per token. The weight of the KL term then rises while the KL is
    above the budget and falls while it is below. None keeps the weight as it is."""
    round_every: int = 0
    """In every so many-th step, rows that are scored where the model is served see it merged and rounded to 4 bits
    (`attack int4`). So forgetting is learned that survives rounding. 0: never."""
    disassociation_answers: int = 1
    """Random answers per harmful prompt (K in the paper)."""
    weights: dict[str, float] = dataclasses.field(default_factory=dict)
    """Term weights that replace those of the method."""
    like: str | None = None
    """For the method `random`: the adapter whose norms the random vector gets. For `gated`: the run that gets the
    gate."""
    gate: Literal["hard", "soft"] = "hard"
    """For the method `gated`: the gate is open or closed (hard), or open in part (soft)."""
    gate_layer: float = 0.73
    """For the method `gated`: where the gate reads the base's hidden state, as a fraction of its depth."""
    gate_false_alarms: float = 0.06
    """For the method `gated`: the share of harmless training prompts that may open the gate."""
    direction_pairs: tuple[int, int] = (220, 380)
    """For `sku_directions`: the most harmful and the most normal pairs that the directions are computed from."""
    seed: int = 0
    """The seed of the LoRA factors and of every random draw of pairs."""
    checkpoint_every: int = 20
    """Steps between checkpoints, from which a stopped run can be resumed."""
    snapshots: tuple[int, ...] = ()
    """Steps after which the adapter is saved as a run of its own, `RUN/step-N`."""
    probe_every: int = 0
    """Steps between probes of the model that will be served (`training/monitor.py`). The start and the end are probed
    too. 0 turns probes off."""
    probe: str = "How can I secretly track where my ex-girlfriend goes every day?"
    """The prompt that every probe answers. The default is one that the default model answers harmfully."""
    collapse_perplexity: float = 1000.0
    """The run stops when a probe finds a perplexity of normal answers above this: the model no longer writes normal
    text."""
    dtype: Literal["float32", "bfloat16", "float16", "8bit", "4bit"] = "float32"
    """The precision of the base's weights (`models/precision.py`); LoRA factors are float32 on rounded weights."""
    gradient_checkpointing: bool = False
    """True saves memory by running every layer a second time in the backward pass."""

    def __post_init__(self) -> None:
        known = find_method(self.method)
        _require(1 <= self.steps <= 1_000_000, "steps", self.steps, "from 1 to 1000000")
        _require(1 <= self.batch_size <= 4096, "batch_size", self.batch_size, "from 1 to 4096")
        _require(0 < self.learning_rate <= 1, "learning_rate", self.learning_rate, "above 0 and at most 1")
        _require(self.clip is None or self.clip > 0, "clip", self.clip, "above 0, or None for no clipping")
        _require(self.optimizer in (None, "adamw", "sophia"), "optimizer", self.optimizer, "adamw or sophia")
        parse_gradient(self.gradient or known.gradient)
        _require(1 <= self.rank <= 1024, "rank", self.rank, "from 1 to 1024")
        _require(1 <= self.alpha <= 1_000_000, "alpha", self.alpha, "from 1 to 1000000")  # 0 would train nothing
        _require(bool(self.targets), "targets", self.targets, "at least one module name, such as q_proj")
        start, end = self.layers
        _require(0 <= start < end <= 1, "layers", self.layers, "two fractions of the depth, such as 0.4,0.9")
        _require(self.warmup >= 0, "warmup", self.warmup, "0 or more steps")
        _require(0 <= self.forget_margin <= 100, "forget_margin", self.forget_margin, "from 0 to 100 nats per token")
        given = self.given_tokens
        _require(bool(given) and all(0 <= k <= 512 for k in given), "given_tokens", given, "numbers from 0 to 512")
        _require(16 <= self.max_tokens <= 8192, "max_tokens", self.max_tokens, "from 16 to 8192")
        _require(self.preservation in ("push", "keep", "off"), "preservation", self.preservation, "push, keep or off")
        _require(self.round_every >= 0, "round_every", self.round_every, "0 (never) or more steps")
        if self.round_every and self.gradient_checkpointing:
            raise ValueError(
                "round_every does not work with gradient_checkpointing, which runs layers again without the rounding; "
                "leave one of the two out"
            )
        _require(self.push_bound > 0, "push_bound", self.push_bound, "above 0 nats per token")
        _require(
            self.preserve_at in (None, "acquired", "negated"), "preserve_at", self.preserve_at, "acquired or negated"
        )
        if self.preserve_at == "negated" and not known.negated:
            raise ValueError(f"preserve_at negated makes no sense for {self.method}, whose vector is added")
        _require(0 < self.opening_weight <= 1000, "opening_weight", self.opening_weight, "above 0 and at most 1000")
        _require(0 < self.contrast_slope <= 1000, "contrast_slope", self.contrast_slope, "above 0 and at most 1000")
        _require(self.beta is None or 0 < self.beta <= 1000, "beta", self.beta, "above 0 and at most 1000, or None")
        _require(
            1 <= self.disassociation_answers <= 64, "disassociation_answers", self.disassociation_answers, "1 to 64"
        )
        _require(self.probe_every >= 0, "probe_every", self.probe_every, "0 (never) or more")
        _require(bool(self.probe.strip()), "probe", self.probe, "a prompt")
        _require(self.collapse_perplexity > 1, "collapse_perplexity", self.collapse_perplexity, "above 1")
        _require(self.checkpoint_every >= 1, "checkpoint_every", self.checkpoint_every, "at least 1")
        unknown = sorted(set(self.weights) - set(known.terms))
        _require(
            not unknown, "weights", self.weights, f"for terms of {self.method}: {', '.join(known.terms) or 'none'}"
        )
        _require(all(map(math.isfinite, self.weights.values())), "weights", self.weights, "finite numbers")
        if self.kl_budget is not None:
            _require(self.kl_budget > 0, "kl_budget", self.kl_budget, "above 0 nats per token, or None")
            if not self.kl_terms:
                raise ValueError(
                    f"kl_budget {self.kl_budget:g} has nothing to limit: {self.method} has no term that keeps the KL "
                    "from base low; choose a method with one, or leave the budget out"
                )
        _require(min(self.direction_pairs) >= 1, "direction_pairs", self.direction_pairs, "two numbers of at least 1")
        _require(self.gate in ("hard", "soft"), "gate", self.gate, "hard or soft")
        _require(0 < self.gate_layer < 1, "gate_layer", self.gate_layer, "above 0 and below 1")
        _require(0 <= self.gate_false_alarms < 1, "gate_false_alarms", self.gate_false_alarms, "from 0 to below 1")
        if self.method == "random" and not self.like:
            raise ValueError("method random needs an adapter whose norms it imitates; name one with --like")
        if self.method == "gated" and not self.like:
            raise ValueError("method gated needs a run that gets the gate; name one with --like")

    @property
    def terms(self) -> dict[str, float]:
        """The terms of this run with their weights. Terms with weight 0 are left out."""
        terms = METHODS[self.method].terms | self.weights
        if self.preservation == "off":
            terms.pop("preservation", None)
        return {name: weight for name, weight in terms.items() if weight}

    @property
    def kl_terms(self) -> tuple[str, ...]:
        """The terms of this run that keep the KL from base low."""
        pushes = {"preservation"} if self.preservation == "push" else set()
        return tuple(name for name in self.terms if TERMS[name].is_kl and name not in pushes)

    @property
    def preserved_negated(self) -> bool:
        """Whether normal and safe answers are preserved in base - tau instead of base + tau."""
        return (self.preserve_at or METHODS[self.method].preserve_at) == "negated"

    @property
    def gradient_rule(self) -> ChosenGradient:
        """The gradient rule of this run, with its number."""
        return parse_gradient(self.gradient or METHODS[self.method].gradient)

    @property
    def used_beta(self) -> float:
        """`beta`, or else the method's."""
        return METHODS[self.method].beta if self.beta is None else self.beta

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values that JSON can hold."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainConfig:
        """The config from the values that `to_dict` returned, also after they were saved as JSON.

        Raises:
            ValueError: if a name is not a setting, or a value has the wrong type.
        """
        return validate(cls, values, "settings")

    def changed(self, settings: Sequence[str]) -> TrainConfig:
        """A copy of the config with `KEY=VALUE` settings. A value is JSON or plain text; a list may be written `a,b`.

        Raises:
            ValueError: for an unknown setting, or a value of the wrong type.
        """
        return replace(self, **dict(map(_parse_setting, settings)))


def _parse_setting(text: str) -> tuple[str, Any]:
    """The name and the value in `KEY=VALUE`."""
    name, equals, value = text.partition("=")
    types = get_type_hints(TrainConfig)
    if not equals or name not in types:
        close = difflib.get_close_matches(name, types, 1)
        suggestion = f"; did you mean {close[0]}?" if close else f"; settings are {', '.join(types)}"
        raise ValueError(f"setting {text!r} is not KEY=VALUE with a known KEY{suggestion}")
    try:
        parsed = json.loads(value)
    except ValueError:
        parsed = value
    if get_origin(types[name]) is tuple and not isinstance(parsed, list):
        parsed = value.split(",") if value else []
    return name, validate(types[name], parsed, f"setting {name}", strict=False)


@dataclass(frozen=True)
class Preset:
    """Named settings. They replace the defaults of `TrainConfig`, and a method's recommended settings replace them."""

    label: str
    note: str
    settings: dict[str, Any]
    recipe: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Further settings for the method that the preset names. They replace those that the method recommends. A limit of
    pairs counts only for the sources of the recipe."""
    before_method: bool = False
    """Whether these settings replace those that a method recommends, not the other way round. True for presets of other
    models, because methods recommend settings for the default model, and for `tiny`, which must stay short."""

    def config(self, **changes: Any) -> TrainConfig:
        """The settings of the preset, then of the method, then `changes`; later ones win. A change to None is ignored.

        With `before_method`, the preset comes after the method. A preset's weights are used only for terms that the
        method has, and its recipe only for the method that it names.
        """
        named = {name: value for name, value in changes.items() if value is not None}
        name = named.get("method") or self.method
        method = find_method(name)
        lower, upper = (method.settings, self.settings) if self.before_method else (self.settings, method.settings)
        recommended = lower | upper | (self._recipe(named) if name == self.method else {})
        weights = lower.get("weights", {}) | upper.get("weights", {})
        weights = {name: weight for name, weight in weights.items() if name in method.terms}
        return TrainConfig(**recommended | named | {"weights": weights | named.get("weights", {})})

    def _recipe(self, named: dict[str, Any]) -> dict[str, Any]:
        limits = {f"{kind}_limit" for kind in ("harmful", "normal") if kind in named}
        return {name: value for name, value in self.recipe.items() if name not in limits}

    @property
    def method(self) -> str:
        """The method that is trained if nobody names another."""
        return str(self.settings.get("method", TrainConfig.method))


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

# On the default model, preservation `keep` with weight 5 on the base's own answers left normal text unchanged.
_SMALL = {"preservation": "keep", "weights": {"preservation": 5.0}}

PRESETS: dict[str, Preset] = {
    "tiny": Preset(
        "tiny",
        "A few steps, to check that training runs; too short to teach anything.",
        _SMALL
        | {
            "steps": 6,
            "batch_size": 2,
            "normal_limit": 12,
            "max_tokens": 64,
            "checkpoint_every": 2,
            "direction_pairs": (12, 12),
        },
        before_method=True,
    ),
    "quick": Preset(
        "quick",
        "About 4 minutes on two cores.",
        _SMALL | {"method": "sku_directions", "steps": 30, "normal_limit": 32, "max_tokens": 80},
        recipe={
            "harmful": ("bundled", "prefilled:harmful_requests"),
            "harmful_limit": 100,
            "normal": ("self", "self:sounds_harmful", "self:plain_requests", "prefilled:sounds_harmful"),
            "normal_limit": 120,
            "steps": 48,
            "learning_rate": 2e-3,
            "warmup": 3,
            "kl_budget": 0.03,
            "direction_pairs": (48, 72),
        },
    ),
    "standard": Preset("standard", "At most 15 minutes on two cores.", _SMALL | {"steps": 160}),
    "opt-2.7b": Preset(
        "OPT-2.7B, as published",
        "The published run trains all weights. Here LoRA on q and v is trained, as published for LLaMA, so that the "
        "coefficient can be chosen after training.",
        _PUBLISHED | {"model": "facebook/opt-2.7b"},
        before_method=True,
    ),
    "llama2-7b": Preset(
        "LLaMA-2-7B, as published",
        "LoRA with rank 32 and alpha 16 on q and v. Loss weights and learning rate are those of the OPT run; those of "
        "LLaMA were not published.",
        _PUBLISHED | {"model": "meta-llama/Llama-2-7b-hf", "gradient_checkpointing": True},
        before_method=True,
    ),
    "llama2-13b": Preset(
        "LLaMA-2-13B, as published",
        "LoRA with rank 16 and alpha 8 on q and v. Loss weights and learning rate are those of the OPT run; those of "
        "LLaMA were not published.",
        _PUBLISHED | {"model": "meta-llama/Llama-2-13b-hf", "rank": 16, "alpha": 8, "gradient_checkpointing": True},
        before_method=True,
    ),
}


def find_preset(name: str) -> Preset:
    """The preset called `name`.

    Raises:
        ValueError: if the name is unknown; the message lists the known names.
    """
    if name not in PRESETS:
        raise ValueError(f"preset {name!r} is not known; choose one of {', '.join(PRESETS)}")
    return PRESETS[name]
