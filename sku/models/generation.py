"""One batched decode for any mix of prompts, variants and samples: it streams, and it can be cancelled.

Rows that must be equal (coefficient 0 and the base) are computed once. Knows no page and no judge.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from sku.core.config import DecodingConfig
from sku.core.records import Answer, AskedPrompt, digest
from sku.core.variants import Variant
from sku.models.coefficients import nonzero_coefficients
from sku.models.decode_request import PartialAnswer, Request, Row
from sku.models.gating import gate_opening, gated_coefficients
from sku.models.running_batch import RunningBatch
from sku.models.variant_model import VariantModel


def stream_answers(
    model: VariantModel,
    prompts: Sequence[str | AskedPrompt],
    variants: Sequence[Variant],
    config: DecodingConfig,
    cancelled: Callable[[], bool] = lambda: False,
    batch: RunningBatch | None = None,
) -> Iterator[list[PartialAnswer]]:
    """Answer every prompt with every variant, all in one batch.

    Args:
        model: holds every adapter that `variants` name.
        prompts: questions as a person asks them, or as an attack changed them.
        variants: who answers.
        config: length, temperature, seed and samples.
        cancelled: asked before every token; True ends the decode and leaves the answers as they are.
        batch: decodes the rows together with those of other callers; None: they have a batch of their own.

    Yields:
        The same list after every token, ordered by prompt, then variant, then sample, with tokens appended. In a batch
        that others use too, a list may hold several new tokens, or none while there is no room for the request.

    Raises:
        ValueError: as `stream_rows` does.
    """
    asked = [AskedPrompt(one, one) if isinstance(one, str) else one for one in prompts]
    return stream_rows(model, [(one, variant) for one in asked for variant in variants], config, cancelled, batch)


def stream_rows(
    model: VariantModel,
    asked: Sequence[tuple[AskedPrompt, Variant]],
    config: DecodingConfig,
    cancelled: Callable[[], bool] = lambda: False,
    batch: RunningBatch | None = None,
) -> Iterator[list[PartialAnswer]]:
    """Answer each prompt with its own variant, all in one batch. It is like `stream_answers` otherwise.

    Raises:
        ValueError: if there is nothing to answer, or a prompt and its answer exceed the model's context.
    """
    if not asked:
        raise ValueError("nothing to answer: give at least one prompt and one variant")
    answers = [PartialAnswer(one, variant, s) for one, variant in asked for s in range(config.samples)]
    rows = _distinct_rows(model, answers, config)
    _check_context(model, rows, config)
    yield answers  # before the first token, so that a page can show its columns
    request = Request(rows, config, model.device)
    batch = batch or RunningBatch(model)
    try:
        while (request.rows or request.has_news) and not cancelled():
            batch.next_token(request)
            yield answers
    finally:
        unfinished = bool(request.rows)
        batch.leave(request)
    if unfinished:
        yield answers


def generate_answers(
    model: VariantModel, prompts: Sequence[str | AskedPrompt], variants: Sequence[Variant], config: DecodingConfig
) -> list[Answer]:
    """All answers once they are complete; arguments and errors are those of `stream_answers`."""
    return collect_answers(model, stream_answers(model, prompts, variants, config), config)


def collect_answers(model: VariantModel, states: Iterable[list[PartialAnswer]], config: DecodingConfig) -> list[Answer]:
    """Run the stream `states` to its end and return its answers as records."""
    began = time.perf_counter()
    answers: list[PartialAnswer] = []
    for answers in states:  # noqa: B007 (the last state is the result)
        pass
    return answer_records(model, answers, config.seed, time.perf_counter() - began)


def answer_records(model: VariantModel, answers: Sequence[PartialAnswer], seed: int, seconds: float) -> list[Answer]:
    """The answers so far as records; `seconds` is the time of the whole batch."""
    return [
        Answer(
            variant=str(answer.variant),
            coefficient=answer.variant.coefficient,
            prompt=answer.prompt,
            sample=answer.sample,
            seed=seed,
            text=model.template.written_text(answer.tokens),
            tokens=len(answer.tokens),
            seconds=seconds,
            stopped=answer.stopped or "cancelled",
            answer_start=answer.asked.answer_start,
            attack=answer.asked.attack,
            gate=answer.gate,
        )
        for answer in answers
    ]


def _distinct_rows(model: VariantModel, answers: Sequence[PartialAnswer], config: DecodingConfig) -> list[Row]:
    """The rows that must be computed: answers of equal prompt, weights and noise share one."""
    rows: dict[object, Row] = {}
    prompts = [prompt_ids(model, answer.asked) for answer in answers]
    gated = gated_coefficients(model, prompts, [answer.variant.coefficients for answer in answers])
    for answer, prompt, coefficients in zip(answers, prompts, gated, strict=True):
        answer.gate = gate_opening(model, prompt, answer.variant.coefficients)
        sample = str(answer.sample) if config.temperature else ""  # greedy samples are one row
        noise = digest(str(config.seed), answer.prompt, sample)
        key = (answer.asked, nonzero_coefficients(coefficients), noise)
        if key not in rows:
            rows[key] = Row(asked_ids(model, answer.asked), dict(coefficients), noise, [])
        rows[key].answers.append(answer)
    return list(rows.values())


def asked_ids(model: VariantModel, asked: AskedPrompt) -> list[int]:
    """The tokens before the answer that the model writes: the prompt in its template, and the answer's beginning."""
    return prompt_ids(model, asked) + model.template.answer_start_ids(asked.answer_start)


def prompt_ids(model: VariantModel, asked: AskedPrompt) -> list[int]:
    """The tokens of the prompt in its template, without the answer's beginning."""
    return model.template.prompt_ids(asked.text, asked.before) if asked.ids is None else list(asked.ids)


def _check_context(model: VariantModel, rows: Sequence[Row], config: DecodingConfig) -> None:
    longest = max(len(row.prompt_ids) for row in rows) + config.max_new_tokens
    if longest > model.context:
        raise ValueError(
            f"prompt and answer take up to {longest} tokens and the model holds {model.context}; "
            "shorten the prompt or the answer, or start a new conversation"
        )
