"""A whole attack measurement: prompts and attack data, the random vector, the attacks, the result rows."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from filelock import FileLock

from sku.core.config import DecodingConfig, TrainConfig
from sku.core.records import PromptPair, ResultRow
from sku.core.storage import home
from sku.core.variants import BASE, Variant
from sku.data import load_pairs
from sku.data.splits import Side, split
from sku.evaluation.attacks.attack_data import AttackData, check_apart, load_attack_data, measurable
from sku.evaluation.attacks.attack_rows import attack_rows
from sku.evaluation.attacks.plan import AttackPlan
from sku.evaluation.attacks.runner import AttackRunner
from sku.evaluation.passes import ProgressReport
from sku.evaluation.plan import MeasuredVariant
from sku.evaluation.public_names import public_name
from sku.judges.protocol import Judge
from sku.models.base_answers import write_base_answers
from sku.models.remote_model import RemoteModel
from sku.models.variant_model import VariantModel
from sku.training.random_vector import make_random_vector

OWN_ANSWERS = 16
"""The base's own answers on which KL under attack is measured."""
OWN_TOKENS = 48


@dataclasses.dataclass(frozen=True)
class AttackSources:
    """Which prompts are asked under attack."""

    harmful: tuple[str, ...] = ("bundled",)
    """Data specs (`sku.data.load_pairs`) of harmful pairs with given answers."""
    side: str = "test"
    limit: int | None = None
    """Prompts taken from each source, the first by id; None: all."""


def attacked_prompts(sources: AttackSources, data: AttackData | None = None) -> tuple[PromptPair, ...]:
    """One pair for each prompt that may be measured.

    Args:
        sources: where the pairs come from.
        data: leaves out prompts of its categories; None leaves none out.

    Raises:
        ValueError: if a source has no such prompt.
    """
    found: dict[str, PromptPair] = {}
    for spec in sources.harmful:
        pairs = split(load_pairs(spec, "harmful").pairs, cast(Side, sources.side))
        kept = measurable(pairs, data) if data else [pair for pair in pairs if pair.answer and not pair.before]
        if not kept:
            raise ValueError(
                f"{spec} has no prompt on the {sources.side} side that can be attacked: a prompt needs a given harmful "
                "answer, no conversation before it, and a category that the attacks do not train on; give another "
                "source with --harmful-prompts"
            )
        by_prompt = sorted({pair.prompt_id: pair for pair in kept}.items())
        found |= dict(by_prompt[: sources.limit])
    return tuple(found.values())


def plan_attacks(
    model: VariantModel,
    model_name: str,
    subjects: Sequence[MeasuredVariant],
    attacks: tuple[str, ...],
    sources: AttackSources,
    decoding: DecodingConfig,
) -> AttackPlan:
    """What is measured: the subjects under the attacks, on prompts kept apart from what the attacks use.

    Raises:
        ValueError: if a source is unknown or has no prompt that can be attacked.
    """
    sounds_harmful = load_pairs("sounds_harmful", "normal").pairs
    harmless = sorted(split(sounds_harmful, "train"), key=lambda pair: pair.id)
    own_answers = write_base_answers(model, harmless[:40], OWN_TOKENS)
    # Set aside from all prompts, not from the first `limit`, so that every limit trains the attacks on the same pairs.
    data = load_attack_data(attacked_prompts(dataclasses.replace(sources, limit=None)), own_answers)
    harmful = attacked_prompts(sources, data)
    check_apart(harmful, data)
    normal = _by_prompt(split(load_pairs("bundled", "normal").pairs, "test"))
    own = tuple(write_base_answers(model, normal[:OWN_ANSWERS], OWN_TOKENS))
    each = max(1, len(harmful) // 2)  # half as many normal prompts, and as many that sound harmful
    return AttackPlan(
        model_name,
        tuple(subjects),
        harmful,
        own,
        attacks,
        data,
        normal=normal[:each],
        sounds_harmful=_by_prompt(split(sounds_harmful, "test"))[:each],
        side=sources.side,
        decoding=decoding,
    )


def _by_prompt(pairs: Sequence[PromptPair]) -> tuple[PromptPair, ...]:
    """One pair for each prompt, in a fixed order."""
    return tuple(pair for _, pair in sorted({pair.prompt_id: pair for pair in pairs}.items()))


def measure_attacks(
    model: VariantModel,
    plan: AttackPlan,
    judge: Judge,
    work: Path,
    report: ProgressReport = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> list[ResultRow]:
    """Carry out a plan: one row for each variant under each attack; what `work` already holds is not measured again.

    Args:
        model: holds every adapter that the plan names.
        plan: what is attacked.
        judge: says what became of each answer.
        work: the folder that keeps what was found.
        report: called after every batch.
        cancelled: asked before every batch and between the steps of an attack.

    Raises:
        Cancelled: if `cancelled` said so; the same call continues from what `work` holds.
    """
    cells = AttackRunner(model, plan, work, trained_folder(), report, cancelled).run(judge)
    model.check_base("an attack")
    return attack_rows(plan, cells, judge.card)


def trained_folder() -> Path:
    """Where attacks keep what they trained."""
    return home() / "attacks" / "trained"


def random_control(like: MeasuredVariant) -> str | None:
    """A variant whose random vector has the norms of the first adapter of `like`; None if it has no adapter."""
    if not like.runs:
        return None
    key, run = next(iter(like.runs.items()))
    name = run.hub_id or public_name(run)
    folder = home() / "attacks" / "random" / f"random-like-{name.replace('/', '-')[-40:]}-{like.identity[:8]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{folder.name}.lock")):  # another process may be making it
        if not (folder / "run.json").is_file():
            shutil.rmtree(folder, ignore_errors=True)
            make_random_vector(folder, TrainConfig(method="random", like=str(run.folder)))
    return f"{folder}@{abs(like.variant.coefficients[key]):g}"


def with_base(variants: Sequence[Variant | RemoteModel]) -> list[Variant | RemoteModel]:
    """The variants without repetition: the base first, models behind servers last."""
    named = {str(one): one for one in variants if isinstance(one, Variant) and one.coefficients}
    remote = {one.server.name: one for one in variants if isinstance(one, RemoteModel)}
    return [Variant(BASE, 0.0), *named.values(), *remote.values()]
