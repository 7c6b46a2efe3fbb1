"""Load the pairs that a run is trained on, and record their sources."""

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
"""One entry per source: name, content hash, number of pairs, side and licence."""


def gather_pairs(
    config: TrainConfig, kind: PairKind, model: VariantModel, say: Callable[[str], None]
) -> tuple[list[PromptPair], SourceFacts]:
    """Load the training pairs of one kind, with the facts about their sources.

    Args:
        config: names the sources and the largest number of pairs to use from each.
        kind: harmful or normal.
        model: writes the base's own answers for sources that ask for them.
        say: called with a message before and during slow work.

    Raises:
        ValueError: for an unknown or unusable source.
    """
    limit = config.harmful_limit if kind == "harmful" else config.normal_limit
    pairs: dict[str, PromptPair] = {}
    facts = []

    def progress(done: int, todo: int) -> None:
        say(f"the base's own answers: {done} of {todo}")

    for spec in config.harmful if kind == "harmful" else config.normal:
        self_source = prompts_of_self(spec)
        data = load_pairs(self_source or spec, kind)
        chosen: Sequence[PromptPair] = split(data.pairs, "train")
        if limit is not None:
            chosen = sorted(chosen, key=lambda pair: pair.id)[:limit]
        if self_source:
            say(f"writing the base's own answers to {len(chosen)} {kind} prompts (kept for later runs)")
            chosen = write_base_answers(model, chosen, config.max_tokens, progress)
            if kind == "harmful":  # a refusal is not a harmful answer
                chosen = [pair for pair in chosen if refusal.refusal_kind(pair.answer) is None]
        facts.append(_facts(f"self:{data.name}" if self_source else data.name, data, chosen))
        pairs |= {pair.id: pair for pair in chosen}
    return list(pairs.values()), facts


def check_same_data(before: Manifest | None, fingerprint: str, data: dict[str, SourceFacts]) -> None:
    """Check that a resumed run has the same base and data as at its start.

    Raises:
        ValueError: if the base or the data has changed.
    """
    if before is None:
        return
    if before.base_fingerprint not in ("", fingerprint):
        raise ValueError(
            f"the run began on a base with fingerprint {before.base_fingerprint}, but {before.base} now has "
            f"{fingerprint}; restore the old base, or train again in another folder"
        )
    for kind, sources in before.data.items():
        for then, now in zip(sources, data[kind], strict=True):
            if then["hash"] != now["hash"]:
                raise ValueError(
                    f"{then['name']} has changed since the run began (content hash {then['hash']}, now {now['hash']}); "
                    "restore the old data, or train again in another folder"
                )


def _facts(name: str, data: DataSet, used: Sequence[PromptPair]) -> dict[str, Any]:
    return {"name": name, "hash": data.content_hash, "pairs": len(used), "side": "train", "licence": data.licence}
