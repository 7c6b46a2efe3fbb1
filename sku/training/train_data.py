"""Load the pairs that a training learns from, and record which sources they came from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sku.core.config import TrainConfig
from sku.core.records import PairKind, PromptPair
from sku.core.runs import Manifest
from sku.data import DataSet, load_pairs
from sku.data.splits import split
from sku.judges import refusal
from sku.models.base_answers import prompts_of_self, write_base_answers
from sku.models.variant_model import VariantModel

SourceFacts = list[dict[str, Any]]
"""One entry a source: name, content hash, how many pairs, side, licence."""


def gather_pairs(
    config: TrainConfig, kind: PairKind, model: VariantModel, say: Callable[[str], None]
) -> tuple[list[PromptPair], SourceFacts]:
    """Load the training pairs of one kind, with the facts about their sources.

    Args:
        config: names the sources, and how many pairs of each to use.
        kind: harmful or normal.
        model: writes the base's own answers where a source asks for them.
        say: told of work that takes time.

    Raises:
        ValueError: for an unknown or unusable source.
    """
    limit = config.harmful_limit if kind == "harmful" else config.normal_limit
    pairs: dict[str, PromptPair] = {}
    facts = []

    def progress(done: int, todo: int) -> None:
        say(f"the base's own answers: {done} of {todo}")

    for spec in config.harmful if kind == "harmful" else config.normal:
        inner = prompts_of_self(spec)
        data = load_pairs(inner or spec, kind)
        chosen: Sequence[PromptPair] = split(data.pairs, "train")
        if limit is not None:
            chosen = sorted(chosen, key=lambda pair: pair.id)[:limit]
        if inner:
            say(f"writing the base's own answers to {len(chosen)} {kind} prompts (kept for later runs)")
            chosen = write_base_answers(model, chosen, config.max_tokens, progress)
            if kind == "harmful":  # a prompt that the base refuses teaches nothing
                chosen = [pair for pair in chosen if refusal.refusal_kind(pair.answer) is None]
        facts.append(_facts(f"self:{data.name}" if inner else data.name, data, chosen))
        pairs |= {pair.id: pair for pair in chosen}
    return list(pairs.values()), facts


def check_same_data(before: Manifest | None, fingerprint: str, data: dict[str, SourceFacts]) -> None:
    """Check that a resumed run has the same base and data as when it began.

    Raises:
        ValueError: if either has changed.
    """
    if before is None:
        return
    if before.base_fingerprint not in ("", fingerprint):
        raise ValueError(
            f"the run began on a base with fingerprint {before.base_fingerprint}, but {before.base} now has "
            f"{fingerprint}; give it that base back, or train anew in another folder"
        )
    for kind, sources in before.data.items():
        for then, now in zip(sources, data[kind], strict=True):
            if then["hash"] != now["hash"]:
                raise ValueError(
                    f"{then['name']} has changed since the run began (content hash {then['hash']}, now {now['hash']}); "
                    "put the old data back, or train anew in another folder"
                )


def _facts(name: str, data: DataSet, used: Sequence[PromptPair]) -> dict[str, Any]:
    return {"name": name, "hash": data.content_hash, "pairs": len(used), "side": "train", "licence": data.licence}
