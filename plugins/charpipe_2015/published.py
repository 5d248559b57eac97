"""Figures published in 2015, with their sources. Figures that could not be checked are left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

BLOG = "Karpathy 2015, The Unreasonable Effectiveness of Recurrent Neural Networks"
PAPER = "Karpathy, Johnson, Fei-Fei 2015, Visualizing and Understanding Recurrent Networks (slides of it)"
BEST = "best of the grid"


@dataclass(frozen=True)
class Published:
    """A figure and its source."""

    value: float
    source: str


FIGURES: Mapping[tuple[str, str, str, str], Published] = {
    ("paper", "war_and_peace", BEST, "test/loss"): Published(1.077, PAPER),
    ("paper", "war_and_peace", "ngram order 20", "test/loss"): Published(1.195, PAPER),
    ("blog", "names", "lstm 2x128", "sample/novel_share"): Published(0.9, BLOG),
}
"""By source, corpus, model and quantity. The cells of the paper's grid could not be checked: they stay blank."""


def published(source: str, corpus: str, model: str, quantity: str) -> Published | None:
    """The published figure, if it was checked."""
    return FIGURES.get((source, corpus, model, quantity))
