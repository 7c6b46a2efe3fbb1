"""Load the pairs that a run is trained on, and record their sources."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from sku.core.config import TrainConfig
from sku.core.records import PairKind, PromptPair
from sku.core.runs import Manifest
from sku.core.terms import TERMS, RowKind
from sku.data import PREFILLED, DataSet, is_own_file, load_pairs
from sku.data.categories import require_categories, select_categories
from sku.data.splits import split
from sku.data.trainable import find_fault, rows_to_train
from sku.judges import refusal
from sku.judges.broken import broken_reason
from sku.models import written_answers
from sku.models.base_answers import AnsweredSource, answered_source, continuation, write_base_answers
from sku.models.written_answers import Writing, count_missing, write_answers

if TYPE_CHECKING:  # the page reads what a training would need, and must not import torch for that
    from sku.models.chat_template import ChatTemplate
    from sku.models.variant_model import VariantModel
    from sku.training.term_batches import WrittenAnswers

SourceFacts = list[dict[str, Any]]
"""One entry per source: name, content hash, number of pairs, side and licence."""
_WRITINGS: dict[RowKind, Writing] = {
    "alternative": written_answers.ALTERNATIVE,
    "evasive": written_answers.EVASIVE,
    "anti_sample": written_answers.ANTI_SAMPLE,
}


@dataclass(frozen=True)
class TrainingSource:
    """A loaded source, and the pairs of it that a run is trained on."""

    data: DataSet
    chosen: tuple[PromptPair, ...]
    """From the training side, with their answers in the data."""
    answered: AnsweredSource | None
    """How the base's own answers replace those in the data; None if they do not."""
    hold_out: bool = True
    """Whether the prompts for validation and tests were left out."""


def choose_training_pairs(config: TrainConfig, kind: PairKind, spec: str) -> TrainingSource:
    """Load one source of `config`, and choose the pairs to train on. This needs no model.

    Raises:
        ValueError: for an unknown or unusable source.
    """
    limit = config.harmful_limit if kind == "harmful" else config.normal_limit
    answered = answered_source(spec)
    data = load_pairs(answered.spec if answered else spec, kind)
    hold_out = config.hold_out or not is_own_file(spec)
    leave_out = config.leave_out if kind == "harmful" else ()
    only = config.categories if kind == "harmful" else ()
    chosen = select_categories(rows_to_train(data, hold_out), only, leave_out)
    if limit is not None:
        chosen = tuple(sorted(chosen, key=lambda pair: pair.id)[:limit])
    return TrainingSource(data, chosen, answered, hold_out)


def read_sources(config: TrainConfig, kind: PairKind) -> list[TrainingSource]:
    """Load and check the sources of one kind. This needs no model, so that a fault is found before one is loaded.

    Raises:
        ValueError: for an unknown source, one that has no answers or no prompt on the training side, or a category to
            train on or to leave out that no harmful pair has.
        OSError: for a file that is missing or cannot be fetched.
    """
    specs = config.harmful if kind == "harmful" else config.normal
    sources = [choose_training_pairs(config, kind, spec) for spec in specs]
    for source in sources:
        if fault := find_fault(source.data, kind, bool(source.answered), source.hold_out):
            raise ValueError(str(fault))
    if kind == "harmful":
        every = [pair for source in sources for pair in source.data.pairs]
        require_categories([*config.categories, *config.leave_out], every, "harmful pair of the training data")
    return sources


def gather_pairs(
    config: TrainConfig,
    kind: PairKind,
    sources: Sequence[TrainingSource],
    model: VariantModel,
    say: Callable[[str], None],
) -> tuple[list[PromptPair], SourceFacts]:
    """The training pairs of one kind, with the facts about their sources.

    Args:
        config: names the categories to leave out, and how long answers may be.
        kind: harmful or normal.
        sources: of this kind, from `read_sources`.
        model: writes the base's own answers for sources that ask for them.
        say: called with a message before and during slow work.

    Raises:
        ValueError: if the base has no place for the conversations in a source.
    """
    pairs: dict[str, PromptPair] = {}
    facts = []

    def progress(done: int, todo: int) -> None:
        say(f"the base's own answers: {done} of {todo}")

    if kind == "harmful" and config.leave_out:
        say(_left_out_text(config.leave_out, sources))
    for source in sources:
        chosen: Sequence[PromptPair] = _with_readable_conversations(source, model.template, say)
        if source.answered:
            say(f"writing the base's own answers to {len(chosen)} {kind} prompts (kept for later runs)")
            chosen = write_base_answers(model, chosen, config.max_tokens, progress, source.answered.name)
            if kind == "harmful":
                chosen = [pair for pair in chosen if _may_be_harmful(pair)]
        facts.append(source_facts(source, chosen))
        pairs |= {pair.id: pair for pair in chosen}
    return list(pairs.values()), facts


def _with_readable_conversations(
    source: TrainingSource, template: ChatTemplate, say: Callable[[str], None]
) -> list[PromptPair]:
    """The chosen pairs that the base's template has a place for, without system prompts if it takes none.

    Raises:
        ValueError: if no pair is left.
    """
    kept = [pair for pair in source.chosen if template.takes_turns or not pair.before.turns]
    longer = len(source.chosen) - len(kept)
    if longer:
        left_out = f"{longer} of {len(source.chosen)} training pairs of {source.data.name} follow earlier turns, which "
        left_out += "this base takes none of"
        if not kept:
            raise ValueError(f"{left_out}; choose data with single questions, or a base with a chat template")
        say(f"{left_out}: they are left out")
    if any(pair.before.system for pair in kept) and not template.takes_system:
        say(f"the system prompts of {source.data.name} are left out, because this base takes none")
        kept = [replace(pair, before=replace(pair.before, system="")) for pair in kept]
    return kept


def source_notes(sources: Sequence[TrainingSource]) -> list[str]:
    """What a person should know of the data: which columns were read, and what looks wrong with its texts."""
    notes = [(source.data.name, note) for source in sources for note in (source.data.columns_read, source.data.warning)]
    return [f"{name}: {note}" for name, note in notes if note]


def count_unwritten(config: TrainConfig, fingerprint: str) -> int:
    """How many of the base's own answers a run would have to write, because they are not in the cache.

    Args:
        config: names the sources and the terms.
        fingerprint: of the base.

    Raises:
        ValueError, OSError: as `choose_training_pairs` does.
    """
    harmful = [choose_training_pairs(config, "harmful", spec) for spec in config.harmful]
    normal = [choose_training_pairs(config, "normal", spec) for spec in config.normal]
    wanted = [(source.answered.writing, _keys(source)) for source in (*harmful, *normal) if source.answered]
    keys = {key for source in harmful for key in _keys(source)}
    wanted += [(_WRITINGS[kind], keys) for kind in _kinds_to_write(config)]
    return sum(count_missing(fingerprint, some, writing, config.max_tokens) for writing, some in wanted)


def _keys(source: TrainingSource) -> set[str]:
    return {pair.asked.key for pair in source.chosen}


def _kinds_to_write(config: TrainConfig) -> list[RowKind]:
    return sorted({TERMS[term].rows for term in config.terms} & _WRITINGS.keys())


def _may_be_harmful(pair: PromptPair) -> bool:
    """Whether the base's own answer to a harmful prompt is worth forgetting: a refusal is not, nor is broken text."""
    if refusal.refusal_kind(pair.answer) is not None:
        return False
    if pair.source != PREFILLED:
        return True
    own_words = continuation(pair)
    return refusal.refusal_kind(own_words) is None and broken_reason(own_words) is None


def gather_written(
    config: TrainConfig, harmful: Sequence[PromptPair], model: VariantModel, say: Callable[[str], None]
) -> WrittenAnswers:
    """The base's own answers to harmful prompts that the terms of a run need, without broken ones.

    Args:
        config: names the terms.
        harmful: the harmful pairs of the run.
        model: writes the answers.
        say: called with a message before and during slow work.
    """
    prompts = sorted({pair.asked for pair in harmful}, key=lambda asked: asked.key)
    written: dict[RowKind, dict[str, tuple[str, ...]]] = {}
    for kind in _kinds_to_write(config):
        report = partial(_say_written, say, kind.replace("_", "-"))
        report(0, len(prompts))
        answers = write_answers(model, prompts, _WRITINGS[kind], config.max_tokens, report)
        written[kind] = {
            prompt: tuple(one for one in texts if broken_reason(one) is None) for prompt, texts in answers.items()
        }
    return written


def _say_written(say: Callable[[str], None], kind: str, done: int, todo: int) -> None:
    say(f"{kind} answers of the base to harmful prompts, kept for later runs: {done} of {todo}")


def _left_out_text(leave_out: Sequence[str], sources: Sequence[TrainingSource]) -> str:
    """How many harmful prompts on the training side are left out, and how many could not be sorted."""
    train = split([pair for source in sources for pair in source.data.pairs], "train")
    left_out = {pair.prompt_id for pair in train if pair.category in leave_out}
    unsorted = {pair.prompt_id for pair in train if pair.category is None}
    text = f"left out: {len(left_out)} harmful prompts of {', '.join(leave_out)}"
    if unsorted:
        text += f"; {len(unsorted)} prompts have no category and are trained on, whatever they are about"
    return text


def check_same_data(before: Manifest | None, sources: Mapping[PairKind, Sequence[TrainingSource]]) -> None:
    """Check that a resumed run has the same data as at its start.

    Raises:
        ValueError: if the data has changed.
    """
    for kind, facts in (before.data if before else {}).items():
        for then, now in zip(facts, sources[cast(PairKind, kind)], strict=True):
            if then["hash"] != now.data.content_hash:
                raise ValueError(
                    f"{then['name']} has changed since the run began (content hash {then['hash']}, now "
                    f"{now.data.content_hash}); restore the old data, or train again in another folder"
                )


def check_same_base(before: Manifest | None, fingerprint: str) -> None:
    """Check that a resumed run has the same base as at its start.

    Raises:
        ValueError: if the base has changed.
    """
    if before is not None and before.base_fingerprint not in ("", fingerprint):
        raise ValueError(
            f"the run began on a base with fingerprint {before.base_fingerprint}, but {before.base} now has "
            f"{fingerprint}; restore the old base, or train again in another folder"
        )


def source_facts(source: TrainingSource, used: Sequence[PromptPair]) -> dict[str, Any]:
    """What `run.json` records about one source."""
    data = source.data
    name = f"{source.answered.name}:{data.name}" if source.answered else data.name
    side = "train" if source.hold_out else "all"
    return {"name": name, "hash": data.content_hash, "pairs": len(used), "side": side, "licence": data.licence}
