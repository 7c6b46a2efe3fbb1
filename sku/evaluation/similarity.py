"""The metric that compares a variant's answers with the base's. Its model is imported only when it is chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from sku.models.pretrained import provision_embedder
from sku.models.wheels import ReportLine

DEFAULT_SIMILARITY = "minilm"


class SimilarityMetric(NamedTuple):
    """A metric with its weights loaded."""

    name: str
    """Name and version."""
    scores: Callable[[Sequence[str], Sequence[str]], list[float]]
    """Takes answers and as many references; gives one score for each pair."""


def similarity_metric(name: str = DEFAULT_SIMILARITY, report: ReportLine = lambda _: None) -> SimilarityMetric:
    """Load the metric called `name`.

    Args:
        name: `minilm`, or `bleurt:` with a folder or hub id.
        report: gets a line before each step that takes time.

    Raises:
        Unavailable: if its weights are neither here nor can be fetched.
        ValueError: for an unknown name, or a checkpoint that is not BLEURT.
    """
    kind, _, where = name.partition(":")
    if name == DEFAULT_SIMILARITY:
        from sku.models.sentence_embedder import SentenceEmbedder

        minilm = SentenceEmbedder(provision_embedder(report))
        return SimilarityMetric(minilm.name, minilm.similarity)
    if kind == "bleurt" and where:
        from sku.evaluation.bleurt import Bleurt

        bleurt = Bleurt(where)
        return SimilarityMetric(bleurt.name, bleurt.similarity)
    raise ValueError(f"similarity metric {name!r} is not known; choose minilm, or bleurt:FOLDER_OR_HUB_ID")
