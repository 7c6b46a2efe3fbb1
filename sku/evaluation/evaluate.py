"""One evaluation from names to rows: plan, answers and likelihoods, verdicts, result rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from sku.core.config import DecodingConfig
from sku.core.records import ResultRow
from sku.core.variants import Variant
from sku.evaluation.aggregate import SimilarityMetric, result_rows
from sku.evaluation.plan import EvaluationPlan, PromptSources, load_prompt_sets, measured_variant
from sku.evaluation.runner import Evaluation, ProgressReport
from sku.judges.protocol import Judge
from sku.models.variant_model import VariantModel


def evaluate_variants(
    model: VariantModel,
    model_name: str,
    variants: Sequence[Variant],
    sources: PromptSources,
    side: str | None,
    decoding: DecodingConfig,
    judge: Judge,
    similarity: tuple[str, SimilarityMetric] | None,
    work: Path,
    report: ProgressReport = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> list[ResultRow]:
    """Measure variants; answers and likelihoods that `work` already holds are not made again.

    Args:
        model: holds every adapter that `variants` name.
        model_name: the base's name, for the rows.
        variants: one row each.
        sources: what is asked and scored.
        side: of the split; None: test, and all of a user's own file.
        decoding: how answers are written.
        judge: says what became of each answer.
        similarity: name and metric for the answers to normal prompts; None leaves similarity unmeasured.
        work: the folder that keeps answers, likelihoods and verdicts.
        report: told after every batch.
        cancelled: asked before every batch.

    Raises:
        ValueError: if a source is unknown, or has no prompt on that side.
        Cancelled: if `cancelled` said so; the same call continues from what `work` holds.
    """
    subjects = tuple(measured_variant(variant) for variant in variants)
    plan = EvaluationPlan(model_name, subjects, load_prompt_sets(model, sources, side), side or "test", decoding)
    evaluation = Evaluation(model, plan, work, report)
    evaluation.run(cancelled)
    return result_rows(evaluation, judge, similarity)
