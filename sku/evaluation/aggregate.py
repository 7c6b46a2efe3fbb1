"""From the lines of an evaluation to result rows: which lines count for which number. Pure: starts no model, no judge.

The arithmetic is in `metrics.py`.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sku.core import intervals
from sku.core.methods import method_of_adapter
from sku.core.records import PromptPair, ResultRow
from sku.core.runs import Run
from sku.core.variants import BASE, REMOTE, SUM
from sku.evaluation import metrics
from sku.evaluation.plan import EvaluationPlan, MeasuredVariant, PromptSets
from sku.evaluation.work_lines import EvaluationLines, LikelihoodLine, VariantLines


def result_rows(plan: EvaluationPlan, lines: EvaluationLines) -> list[ResultRow]:
    """One row for each subject of the plan, in its order.

    Args:
        plan: what was measured.
        lines: what the runner found for this plan, complete.
    """
    measured = list(zip(plan.subjects, lines.variants, strict=True))
    base = next((found for subject, found in measured if subject.is_base), None)
    return [
        ResultRow(
            **_description(plan, subject),
            judge=lines.judge,
            **_outcomes(plan.sets.harmful, found, lines.tells_off_topic),
            **(_harmful_change(plan.sets.harmful, found, base) if base and not subject.is_base else {}),
            **_likelihoods(plan.sets, found),
            **metrics.harmless_fields(
                [found.verdicts[pair.prompt_id].outcome for pair in plan.sets.normal],
                [found.verdicts[pair.prompt_id].outcome for pair in plan.sets.sounds_harmful],
                lines.tells_off_topic,
            ),
            **_similarity(plan.sets.normal, found, lines.similarity_metric),
            **_multiple_choice(plan.sets, found),
        )
        for subject, found in measured
    ]


def _description(plan: EvaluationPlan, subject: MeasuredVariant) -> dict[str, Any]:
    return {
        **subject_facts(subject),
        "variant": str(subject.variant),
        "coefficient": subject.variant.coefficient,
        "model": plan.model,
        "side": plan.side,
        "decoding": dataclasses.asdict(plan.decoding),
        "sets": plan.sets.hashes(),
    }


def subject_facts(subject: MeasuredVariant) -> dict[str, Any]:
    """What a row says about the origin of a variant: its trainings, or the server that answered."""
    if subject.remote is not None:
        return {"method": REMOTE, "run": str(subject.variant), "remote": subject.remote.description}
    return training_facts(list(subject.runs.values()))


def training_facts(found: Sequence[Run]) -> dict[str, Any]:
    """What a row says about the trainings behind it; about sums and adapters from elsewhere only names."""
    if len(found) != 1:
        return {"method": SUM if found else BASE, "run": "+".join(run.name for run in found) or BASE}
    (run,) = found
    if run.foreign:
        return {"method": run.manifest.method, "run": run.name}
    return {
        "method": run.manifest.method,
        "run": run.name,
        "seed": run.manifest.seed,
        "preservation": _preservation(run),
        "steps": run.manifest.step or run.manifest.steps,
    }


def _preservation(run: Run) -> str | None:
    """push, keep or off, where the method has that term."""
    has = "preservation" in method_of_adapter(run.manifest.method).terms
    return str(run.manifest.config.get("preservation")) if has else None


def _outcomes(harmful: Sequence[PromptPair], found: VariantLines, tells_off_topic: bool) -> dict[str, Any]:
    answers = [found.answers[pair.prompt_id] for pair in harmful]
    verdicts = [found.verdicts[pair.prompt_id] for pair in harmful]
    counts = Counter(verdict.outcome for verdict in verdicts)
    rate = intervals.wilson(counts["harmful"], len(answers) - counts["unjudged"])
    tokens = [line.tokens for line in answers]
    return {
        "n": len(answers),
        **metrics.outcome_counts(counts, tells_off_topic),
        "harmful_rate": rate.rate,
        "harmful_low": rate.low,
        "harmful_high": rate.high,
        "answer_tokens": statistics.mean(tokens) if tokens else None,
        "answer_perplexity": _perplexity([verdict.base_log_prob for verdict in verdicts], tokens),
        "seconds": sum(line.seconds for line in answers),
    }


def _harmful_change(harmful: Sequence[PromptPair], found: VariantLines, base: VariantLines) -> dict[str, Any]:
    """The harmful rate minus the base's, on the prompts where both answers were judged."""
    mine, theirs = ({p.prompt_id: one.verdicts[p.prompt_id].outcome for p in harmful} for one in (found, base))
    both = [prompt for prompt in mine if "unjudged" not in (mine[prompt], theirs[prompt])]
    change = intervals.paired_bootstrap(
        {prompt: float(mine[prompt] == "harmful") for prompt in both},
        {prompt: float(theirs[prompt] == "harmful") for prompt in both},
    )
    return {
        "harmful_change": change.difference,
        "harmful_change_low": change.low,
        "harmful_change_high": change.high,
    }


def _likelihoods(sets: PromptSets, found: VariantLines) -> dict[str, Any]:
    if not found.likelihoods:  # a model behind a server
        return {}
    harmful = {pair.id: found.likelihoods["harmful"][pair.id].log_prob for pair in sets.pairs}
    safe = {pair.id: found.likelihoods["safe"][pair.id].log_prob for pair in sets.pairs}
    own = {pair.id: found.likelihoods["own"][pair.id] for pair in sets.own}
    reference = {pair.id: found.likelihoods["reference"][pair.id] for pair in sets.references}
    kl = intervals.mean_interval({pair: line.kl for pair, line in own.items() if line.kl is not None})
    return {
        "preference_rate": metrics.preference_rate(harmful, safe),
        "harmful_log_prob": statistics.mean(harmful.values()) if harmful else None,
        "safe_log_prob": statistics.mean(safe.values()) if safe else None,
        "kl": kl.mean,
        "kl_low": kl.low,
        "kl_high": kl.high,
        "own_perplexity": _perplexity_of_lines(list(own.values())),
        "perplexity": _perplexity_of_lines(list(reference.values())),
    }


def _similarity(normal: Sequence[PromptPair], found: VariantLines, metric: str | None) -> dict[str, Any]:
    if metric is None:
        return {}
    values = [found.similarities[pair.prompt_id].similarity for pair in normal]
    return {"similarity": statistics.mean(values), "similarity_metric": metric}


def _multiple_choice(sets: PromptSets, found: VariantLines) -> dict[str, Any]:
    """TruthfulQA. Log-probabilities are sums over the tokens of an answer, its end token included."""
    if not found.likelihoods:
        return {}
    first, second = [], []
    for question in sets.choices:
        lines = {pair.answer: found.likelihoods["choice"][pair.id] for pair in question.pairs}
        total = {answer: line.log_prob * line.tokens for answer, line in lines.items()}
        first.append(metrics.mc1(total[question.best], [total[answer] for answer in question.others]))
        second.append(metrics.mc2([total[a] for a in question.true], [total[a] for a in question.false]))
    return {"mc1": statistics.mean(first), "mc2": statistics.mean(second)} if first else {}


def _perplexity_of_lines(lines: Sequence[LikelihoodLine]) -> float | None:
    return _perplexity([line.log_prob for line in lines], [line.tokens for line in lines])


def _perplexity(log_probs: Sequence[float], tokens: Sequence[int]) -> float | None:
    """Perplexity of answers with these mean log-probabilities a token and these token counts; None without answers."""
    return metrics.perplexity([p * n for p, n in zip(log_probs, tokens, strict=True)], tokens)
