"""What an attack measurement measures: which variants, on which prompts, under which attacks. Plain values."""

from __future__ import annotations

from dataclasses import dataclass, field

from sku.core.attacks import ATTACKS, NO_ATTACK, Attack
from sku.core.config import DecodingConfig
from sku.core.records import PromptPair, digest
from sku.evaluation.attacks.attack_data import AttackData
from sku.evaluation.plan import MeasuredVariant

MAX_SAMPLED_PROMPTS = 20


def asked_count(attack: Attack, prompts: int) -> int:
    """How many of so many prompts are asked. An attack that draws several answers asks half of them, and at most
    `MAX_SAMPLED_PROMPTS`."""
    return min(MAX_SAMPLED_PROMPTS, (prompts + 1) // 2) if attack.samples > 1 else prompts


@dataclass(frozen=True)
class AttackPlan:
    """Variants x attacks, all on the same prompts."""

    model: str
    """The base's name, for the rows."""
    subjects: tuple[MeasuredVariant, ...]
    """What is attacked; the base is among them."""
    harmful: tuple[PromptPair, ...]
    """The prompts that are asked, each with a given harmful answer."""
    own: tuple[PromptPair, ...]
    """The base's own answers to normal prompts, for KL; empty: KL is not measured."""
    attacks: tuple[str, ...]
    """Names in `ATTACKS`. `none` is always measured, and is not among them."""
    data: AttackData
    normal: tuple[PromptPair, ...] = ()
    """Normal prompts, asked under the attacks that ask harmless ones too."""
    sounds_harmful: tuple[PromptPair, ...] = ()
    """Harmless prompts that sound harmful, asked under the same attacks."""
    side: str = "test"
    decoding: DecodingConfig = field(default_factory=lambda: DecodingConfig(max_new_tokens=48))
    max_tokens: int = 128
    """Of a prompt and its given answer; a longer answer is cut."""
    rows: int = 48
    """Answers written in one batch."""
    batch_tokens: int = 4000
    """Tokens scored in one batch, prompts and padding included."""

    @property
    def measured(self) -> dict[str, Attack]:
        """All attacks of the plan, the state without attack first."""
        return {name: ATTACKS[name] for name in (NO_ATTACK, *self.attacks)}

    @property
    def base(self) -> MeasuredVariant:
        """The base among the subjects."""
        return next(subject for subject in self.subjects if subject.is_base)

    def applies(self, attack: Attack, subject: MeasuredVariant) -> bool:
        """Whether `attack` can be carried out on `subject`. A model behind a server can only be asked otherwise."""
        if subject.remote is None:
            return True
        return attack.weaken is None and (attack.changes != "answer start" or subject.remote.can_prefill)

    def asked(self, attack: Attack) -> tuple[PromptPair, ...]:
        """The prompts that are asked under `attack`."""
        by_prompt = {pair.prompt_id: pair for pair in sorted(self.harmful, key=lambda pair: pair.id, reverse=True)}
        pairs = tuple(sorted(by_prompt.values(), key=lambda pair: pair.prompt_id))
        return pairs[: asked_count(attack, len(pairs))]

    def harmless(self, attack: Attack) -> tuple[PromptPair, ...]:
        """The harmless prompts that are asked under `attack`."""
        return (*self.normal, *self.sounds_harmful) if attack.asks_harmless else ()

    def decoding_under(self, attack: Attack) -> DecodingConfig:
        """How answers are written under `attack`."""
        return DecodingConfig(
            self.decoding.max_new_tokens, attack.temperature or self.decoding.temperature, self.decoding.seed,
            attack.samples,
        )  # fmt: skip

    def hashes(self) -> dict[str, str]:
        """Content hashes of the prompts and of what the attacks use."""
        sets = {
            "harmful": self.harmful, "own": self.own, "normal": self.normal, "sounds_harmful": self.sounds_harmful,
        }  # fmt: skip
        return {n: digest(*(pair.id for pair in some)) for n, some in sets.items() if some} | {"attack": self.data.key}
