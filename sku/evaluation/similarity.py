"""Which metric says how like a variant's answer is to the base's. Light: the models are imported when one is chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sku.models.pretrained import provision_embedder
from sku.models.wheels import ReportLine

Similarity = Callable[[Sequence[str], Sequence[str]], list[float]]
"""From answers and references, place by place, to how like they are."""
DEFAULT_SIMILARITY = "minilm"


def similarity_metric(name: str = DEFAULT_SIMILARITY, report: ReportLine = lambda _: None) -> tuple[str, Similarity]:
    """The metric's name with its version, and the metric.

    Args:
        name: `minilm`, or `bleurt:` with a folder or hub id.
        report: gets a line for each thing that takes time.

    Raises:
        Unavailable: if its weights can't be had.
        ValueError: for another name, or a checkpoint that is no BLEURT.
    """
    kind, _, where = name.partition(":")
    if name == DEFAULT_SIMILARITY:
        from sku.evaluation.sentence_embedder import SentenceEmbedder

        minilm = SentenceEmbedder(provision_embedder(report))
        return minilm.name, minilm.similarity
    if kind == "bleurt" and where:
        from sku.evaluation.bleurt import Bleurt

        bleurt = Bleurt(where)
        return bleurt.name, bleurt.similarity
    raise ValueError(f"similarity metric {name!r} is not known; choose minilm, or bleurt:FOLDER_OR_HUB_ID")
