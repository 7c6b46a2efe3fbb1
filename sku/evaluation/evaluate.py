"""One evaluation from beginning to end: the plan, the passes of the runner, the result rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from sku.core.config import DecodingConfig
from sku.core.records import ResultRow
from sku.core.variants import Variant
from sku.data.wrong_decoding import decoding_note
from sku.evaluation.aggregate import result_rows
from sku.evaluation.passes import ProgressReport
from sku.evaluation.plan import EvaluationPlan, PromptSets, PromptSources, measured_variant
from sku.evaluation.prompt_sets import default_side, drop_overlap, with_own_answers
from sku.evaluation.runner import EvaluationRunner
from sku.evaluation.similarity import SimilarityMetric
from sku.judges.protocol import Judge
from sku.models.distributed import process_state
from sku.models.remote_model import RemoteModel
from sku.models.variant_model import VariantModel


def evaluate_variants(
    model: VariantModel,
    model_name: str,
    variants: Sequence[Variant | RemoteModel],
    sets: PromptSets,
    sources: PromptSources,
    side: str | None,
    decoding: DecodingConfig,
    judge: Judge,
    similarity: SimilarityMetric | None,
    work: Path,
    report: ProgressReport = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> list[ResultRow]:
    """Measure variants, one row each; what `work` already holds is not measured again.

    Args:
        model: holds every adapter that `variants` name.
        model_name: the base's name, for the rows.
        variants: what to measure; a model behind a server only answers, and has no likelihoods.
        sets: what is asked and scored, without the base's own answers (`read_prompt_sets`).
        sources: where the sets were read from.
        side: of the split; None: test, and all of a user's own file. If all harmful prompts are a user's own, the rows
            are of `OWN_SIDE`.
        decoding: how answers are written.
        judge: says what became of each answer.
        similarity: compares answers to normal prompts with the base's; None leaves similarity unmeasured.
        work: the folder that keeps answers, likelihoods, verdicts and similarities.
        report: called after every batch, and with a line about text that looks wrongly decoded, or about overlap with
            training data if `sources` asks for it.
        cancelled: asked before every batch.

    Raises:
        ValueError: if no prompt is left of those chosen.
        Cancelled: if `cancelled` said so; the same call continues from what `work` holds.
    """
    subjects = tuple(measured_variant(variant) for variant in variants)
    sets = with_own_answers(model, sets, sources)
    trained = {run.folder: run for subject in subjects for run in subject.runs.values()}

    def say(text: str) -> None:
        if process_state().is_main_process:
            report({"doing": text})

    asked = {pair.id: pair for pair in (*sets.answered, *sets.pairs, *sets.references)}
    if warning := decoding_note(list(asked.values())):
        say(warning)
    sets = drop_overlap(sets, list(trained.values()), sources, say)
    plan = EvaluationPlan(model_name, subjects, sets, side or default_side(sources.harmful), decoding)
    return run_evaluation(model, plan, judge, similarity, work, report, cancelled)


def run_evaluation(
    model: VariantModel,
    plan: EvaluationPlan,
    judge: Judge,
    similarity: SimilarityMetric | None,
    work: Path,
    report: ProgressReport = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> list[ResultRow]:
    """Carry out a plan, one row for each of its subjects; the arguments and errors are those of `evaluate_variants`."""
    lines = EvaluationRunner(model, plan, work, report, cancelled).run(judge, similarity)
    return result_rows(plan, lines)
