"""What a tab is built from, and what tabs offer to one another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import gradio as gr

from sku.judges.protocol import JudgeCard
from sku.serving.training_jobs import TrainingJobs
from sku.ui.compare.interface import CompareInterface
from sku.ui.hosting.access import Access


@dataclass
class TabContext:
    """The page that is being built, as its tabs see it."""

    page: gr.Blocks
    tabs: gr.Tabs
    access: Access
    trainings: TrainingJobs
    cards: Sequence[JudgeCard]
    """Of the judges."""
    compare: CompareInterface = field(init=False)
    """Set by Compare, which is built first."""


@dataclass(frozen=True)
class TabSpec:
    """One tab."""

    id: str
    title: str
    build: Callable[[TabContext, gr.Tab], None]
    """Lays it out and wires it, inside the `gr.Tab` that it gets."""
