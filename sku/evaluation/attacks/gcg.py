"""GCG, small: tokens after the user's text are searched until harmful answers become likely (arXiv:2307.15043).

As in the paper, one suffix serves several prompts, and the gradient by the one-hot vectors of its tokens proposes
replacements. To be affordable on a CPU, it has fewer steps and candidates, and most candidates are tried on a few pairs
only. A step keeps its best candidate only if that is better than the suffix so far, so the loss never rises. Candidates
are ordinary text that survives decoding and encoding, so a person could type what was found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from sku.core.records import AskedPrompt, PromptPair
from sku.core.variants import Variant
from sku.evaluation.attacks.procedure import AttackContext, AttackedModel
from sku.evaluation.attacks.trained_prompt import Found, answer_loss, find_once, training_pairs
from sku.models.altered_model import AlteredModel
from sku.models.batching import EncodedPair, collate
from sku.models.chat_template import ChatTemplate
from sku.models.hidden_states import answer_hidden_states
from sku.models.likelihood import MAX_LOGIT_ROWS, output_logits
from sku.models.soft_tokens import replace_embeddings
from sku.models.variant_model import VariantModel

TARGET_TOKENS = 12
"""Tokens of each given answer that the search makes likely."""
PROPOSED_TOKENS = 64
"""Replacements that the gradient proposes for each place."""
DRAWS_PER_CANDIDATE = 8
"""Candidates are drawn until there are enough, or this many times as often."""
SCREENING_PAIRS, FINALISTS = 2, 6
"""Candidates are tried on so many pairs, others in each step; so many of the best are then tried on all pairs."""
SEED = 0


@contextmanager
def searched_suffix(
    context: AttackContext, variant: Variant, tokens: int, steps: int, candidates: int, pairs: int
) -> Iterator[AttackedModel]:
    """The variant with a searched suffix after every prompt.

    Args:
        context: its folder keeps the suffix.
        variant: what is attacked.
        tokens: length of the suffix.
        steps: replacements of one token.
        candidates: replacements tried in each step.
        pairs: harmful pairs of the attack data to search on.

    Raises:
        Cancelled: if the user stopped; nothing is kept.
    """
    model = context.model
    settings = {
        "attack": "gcg", "tokens": tokens, "steps": steps, "candidates": candidates, "pairs": pairs,
        "target": TARGET_TOKENS, "proposed": PROPOSED_TOKENS, "screening": (SCREENING_PAIRS, FINALISTS), "seed": SEED,
    }  # fmt: skip
    found = find_once(context, variant, settings, lambda: _search(context, variant, tokens, steps, candidates, pairs))
    suffix = found.values.tolist()
    yield AttackedModel(
        model,
        variant.coefficients,
        found.details | {"suffix": decoded(model.template, suffix)},
        lambda pair: [with_suffix(model.template, pair.prompt, suffix)],
    )


def with_suffix(template: ChatTemplate, prompt: str, suffix: Sequence[int]) -> AskedPrompt:
    """The prompt with the suffix: as text if the text has these tokens, else as tokens."""
    before, person, after = template.split_prompt(prompt)
    ids, text = [*before, *person, *suffix, *after], prompt + decoded(template, suffix)
    return AskedPrompt(prompt, text, ids=None if template.prompt_ids(text) == ids else tuple(ids))


def decoded(template: ChatTemplate, ids: Sequence[int]) -> str:
    """The text of the tokens, with its white space."""
    text: str = template.tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    return text


def ordinary_tokens(template: ChatTemplate) -> list[int]:
    """Tokens that are printable ASCII and that their own text is encoded as."""
    special = set(template.tokenizer.all_special_ids)
    texts = {i: decoded(template, [i]) for i in range(len(template.tokenizer)) if i not in special}
    plain = {i: text for i, text in texts.items() if text.strip() and text.isascii() and text.isprintable()}
    encoded = template.tokenizer(list(plain.values()), add_special_tokens=False)["input_ids"]
    return [i for i, ids in zip(plain, encoded, strict=True) if ids == [i]]


def _search(context: AttackContext, variant: Variant, tokens: int, steps: int, candidates: int, pairs: int) -> Found:
    template = context.model.template
    objective = SuffixLoss(context.model, variant.coefficients, training_pairs(context, pairs))
    allowed = torch.tensor(ordinary_tokens(template), device=context.model.device)
    generator = torch.Generator().manual_seed(SEED)
    suffix = [template.tokenizer(" !", add_special_tokens=False)["input_ids"][-1]] * tokens
    losses = [objective.of(suffix)]
    for step in range(steps):
        context.check()
        proposed = steepest_tokens(objective.slope(suffix), allowed)
        tried = draw_candidates(template, objective.prompt, suffix, proposed, candidates, generator)
        context.check()
        best, loss = objective.best_of(tried, step)
        if loss < losses[-1]:
            suffix = best
        losses.append(min(loss, losses[-1]))
        context.say(f"suffix for {variant}: {step + 1} of {steps} steps, {losses[-1]:.2f} nats per token")
    return Found(torch.tensor(suffix, dtype=torch.long), losses)


def steepest_tokens(slope: Tensor, allowed: Tensor) -> list[list[int]]:
    """For each place the allowed tokens that lower the loss most, to first order, the best first.

    Args:
        slope: gradient of the loss by the one-hot vectors, `[N, V]`.
        allowed: tokens, `[A]`.
    """
    places = slope[:, allowed].topk(min(PROPOSED_TOKENS, len(allowed)), largest=False).indices  # (N, K)
    tokens: list[list[int]] = allowed[places].tolist()
    return tokens


def draw_candidates(
    template: ChatTemplate,
    prompt: str,
    suffix: Sequence[int],
    proposed: Sequence[Sequence[int]],
    count: int,
    generator: torch.Generator,
) -> list[list[int]]:
    """Up to `count` different suffixes with one token replaced, which survive decoding and encoding after `prompt`.

    Where none of those that were drawn survives, they are all returned.

    Args:
        template: encodes.
        prompt: what comes before the suffix.
        suffix: N tokens.
        proposed: replacements for each of the N places.
        count: how many.
        generator: draws places and replacements.
    """
    drawn: dict[tuple[int, ...], bool] = {tuple(suffix): False}
    for _ in range(count * DRAWS_PER_CANDIDATE):
        place = int(torch.randint(len(suffix), (), generator=generator))
        token = proposed[place][int(torch.randint(len(proposed[place]), (), generator=generator))]
        changed = (*suffix[:place], token, *suffix[place + 1 :])
        if changed not in drawn:
            drawn[changed] = with_suffix(template, prompt, changed).ids is None
        if sum(drawn.values()) == count:
            break
    survivors = [list(one) for one, survives in drawn.items() if survives]
    return survivors or [list(one) for one in drawn][1 : count + 1]


class SuffixRow(NamedTuple):
    """A pair around the suffix, as tokens."""

    before: list[int]
    """The template's prefix and the person's text."""
    after: list[int]
    """The template's end of the prompt."""
    target: list[int]
    """The beginning of the given answer."""


class SuffixLoss:
    """The loss of a suffix: how unlikely it leaves the beginnings of harmful answers, in nats per token."""

    def __init__(self, model: VariantModel, coefficients: Mapping[str, float], pairs: Sequence[PromptPair]) -> None:
        self.model, self.coefficients = model, coefficients
        self.prompt = pairs[0].prompt
        """One of the prompts."""
        self._rows = []
        for pair in pairs:
            before, text, after = model.template.split_prompt(pair.prompt)
            target = model.template.answer_ids(pair.answer)[:TARGET_TOKENS]
            self._rows.append(SuffixRow(before + text, after, target))
        self._tokens = sum(len(row.target) for row in self._rows)

    def of(self, suffix: Sequence[int]) -> float:
        """The loss of one suffix on all pairs."""
        return float(self._sums([suffix], self._rows)) / self._tokens

    def best_of(self, suffixes: Sequence[Sequence[int]], step: int) -> tuple[list[int], float]:
        """The best suffix with its loss on all pairs. Only those that do best on a few pairs are tried on all.

        Args:
            suffixes: the candidates.
            step: decides which pairs come first.
        """
        first = [(step * SCREENING_PAIRS + i) % len(self._rows) for i in range(min(SCREENING_PAIRS, len(self._rows)))]
        screened = self._sums(suffixes, [self._rows[i] for i in first])
        finalists = screened.argsort()[:FINALISTS].tolist()
        others = [row for i, row in enumerate(self._rows) if i not in first]
        total = screened[finalists] + self._sums([suffixes[i] for i in finalists], others)
        best = int(total.argmin())
        return list(suffixes[finalists[best]]), float(total[best]) / self._tokens

    @torch.no_grad()
    def _sums(self, suffixes: Sequence[Sequence[int]], rows: Sequence[SuffixRow]) -> Tensor:
        """The summed loss of each suffix on `rows`, `[S]`. Each prompt is read once, for all suffixes."""
        if not rows:
            return torch.zeros(len(suffixes), device=self.model.device)
        asked = [row for _ in suffixes for row in rows]
        pairs = [
            EncodedPair((*row.before, *suffix, *row.after, *row.target), len(row.before))
            for suffix in suffixes
            for row in rows
        ]
        hidden = answer_hidden_states(self.model, pairs, [self.coefficients] * len(pairs))
        ends = torch.cat([one[-len(row.target) - 1 : -1] for one, row in zip(hidden, asked, strict=True)])
        targets = torch.tensor([token for row in asked for token in row.target], device=self.model.device)
        parts = zip(torch.split(ends, MAX_LOGIT_ROWS), torch.split(targets, MAX_LOGIT_ROWS), strict=True)
        nll = [cross_entropy(output_logits(self.model.network, h).float(), t, reduction="none") for h, t in parts]
        return torch.cat(nll).view(len(suffixes), -1).sum(1)

    def slope(self, suffix: Sequence[int]) -> Tensor:
        """The gradient of the loss by the one-hot vectors of the tokens, `[N, V]`.

        The embedding is linear in them, so it is the gradient by the embeddings times the embedding matrix. The factor
        by which some models scale their embeddings is left out, because it does not change the order.
        """
        rows = []
        for row in self._rows:
            prompt = [*row.before, *suffix, *row.after]
            rows.append(EncodedPair((*prompt, *row.target), len(prompt)))
        embedding = self.model.network.get_input_embeddings()
        vectors = embedding(torch.tensor(suffix, dtype=torch.long, device=self.model.device)).detach().requires_grad_()
        altered = AlteredModel(self.model, hooks=[replace_embeddings(self.model, suffix, vectors)])
        loss = answer_loss(altered, self.coefficients, collate(rows).to(self.model.device))
        (by_vectors,) = torch.autograd.grad(loss, [vectors])
        slope: Tensor = by_vectors @ embedding.weight.T
        return slope
