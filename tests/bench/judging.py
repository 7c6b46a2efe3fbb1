"""Compare the time of judging answers with the time of writing them: one prompt at a time, as Compare does, and in
batches, as an evaluation does. The judge is the default one.

Run on an idle machine: `python -m tests.bench.judging`. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from sku.core.config import DecodingConfig
from sku.evaluation.plan import EvaluationPlan, PromptSources, measured_variant
from sku.evaluation.prompt_sets import load_prompt_sets
from sku.evaluation.runner import EvaluationRunner
from sku.serving.live_session import LiveSession


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variants", nargs="+", default=["base", "ga", "sku"])
    parser.add_argument("--limit", type=int, default=24, help="prompts of each kind")
    parser.add_argument("--alone", type=int, default=12, help="number of prompts to ask one at a time")
    given = parser.parse_args()
    session = LiveSession()
    model, judge = session.load(), session.judge("embedded")
    sets = load_prompt_sets(model, PromptSources(pairs=(), references=(), limit=given.limit), "test")
    subjects = tuple(measured_variant(session.variant(name)) for name in given.variants)
    with TemporaryDirectory() as folder:
        runner = EvaluationRunner(model, EvaluationPlan("default", subjects, sets, "test"), Path(folder))
        session.answers(["Hello"], given.variants, DecodingConfig(max_new_tokens=2))  # loads everything
        session.judged([("Hello", "Hello.")])
        asked = [pair.prompt for pair in (*sets.harmful, *sets.normal)][: given.alone]
        one_written, one_judged = 0.0, 0.0
        for prompt in asked:
            began = time.perf_counter()
            answers = session.answers([prompt], given.variants, DecodingConfig(max_new_tokens=64))
            written = time.perf_counter()
            session.verdicts(prompt, [answer.text for answer in answers])
            one_written, one_judged = one_written + written - began, one_judged + time.perf_counter() - written
        runner.write_answers()
        lines = runner.answers.found.values()
        began = time.perf_counter()
        runner.judge_answers(judge)
        judging = time.perf_counter() - began
    writing = sum(line.seconds for line in lines)
    report = {
        "answers": len(lines),
        "tokens per answer": sum(line.tokens for line in lines) / len(lines),
        "writing, s": writing,
        "judging, s": judging,
        "judging over writing": judging / writing,
        "a prompt at a time, prompts": len(asked),
        "a prompt at a time, writing, s": one_written,
        "a prompt at a time, judging, s": one_judged,
        "a prompt at a time, judging over writing": one_judged / one_written,
    }
    print(json.dumps({name: round(number, 2) for name, number in report.items()}, indent=2))


if __name__ == "__main__":
    main()
