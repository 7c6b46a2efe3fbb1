"""The command `record`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sku.cli.options import MaxNewTokens, Variants
from sku.core.config import DecodingConfig


def record(
    out: Annotated[Path, typer.Option(help="The JSONL file to write.")] = Path("assets/results/answers.jsonl"),
    variant: Variants = ["base", "ga@1", "sku@0.5", "sku@1", "sku@1.5", "sku@2", "sku@2.5", "sku@3", "keep@1", "tv@1"],  # noqa: B006
    max_tokens: MaxNewTokens = 96,
) -> None:
    """Record the answers that the page shows without weights.

    Every variant answers the page's examples greedily. The verdict and the KL from base are recorded with each answer.
    """
    import json

    from sku.cli.progress import report_work
    from sku.core import storage
    from sku.serving import recorded_session
    from sku.serving.live_session import LiveSession

    session, lines = LiveSession(), []
    groups = json.loads((storage.ASSETS / "data" / "examples.json").read_text(encoding="utf-8")).values()
    prompts = [example["prompt"] for group in groups for example in group]
    model, variants = session.load(), ["base", *(name for name in variant if name != "base")]
    for prompt in prompts:
        report_work({"doing": f"recording: {prompt[:50]}"})
        answers = session.answers([prompt], variants, DecodingConfig(max_new_tokens=max_tokens))
        verdicts = session.verdicts(prompt, [answer.text for answer in answers])
        divergences = session.divergence(prompt, answers[0].text, variants)
        for answer, verdict, kl in zip(answers, verdicts, divergences, strict=True):
            lines.append(recorded_session.record_line(session.model_name, model.fingerprint, answer, verdict, kl))
    storage.write_atomically(out, "".join(lines))
    typer.echo(f"wrote {len(lines)} answers to {out}")
