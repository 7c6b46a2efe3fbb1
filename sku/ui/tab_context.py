"""How a tab is described, and what a tab gets when it is built."""

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
    """The page under construction: everything that a tab needs to build itself."""

    page: gr.Blocks
    tabs: gr.Tabs
    access: Access
    trainings: TrainingJobs
    cards: Sequence[JudgeCard]
    """The judges' cards."""
    compare: CompareInterface = field(init=False)
    """What Compare offers to the other tabs. Compare is built first and sets it."""


@dataclass(frozen=True)
class TabSpec:
    """One tab: its id, its title and the function that builds it."""

    id: str
    title: str
    build: Callable[[TabContext, gr.Tab], None]
    """Lays out the tab inside the given `gr.Tab` and wires its events."""
