"""A chart as an SVG file."""

from __future__ import annotations

from charpipe.pages.charts.chart import WIDTH, Chart
from charpipe.pages.rendering import render

HEAD = 40
"""The height of the title above the chart."""


def document(drawn: Chart, title: str) -> str:
    """The chart with a title as an SVG file: its style is within it, and it is dark where the reader's system is."""
    return render("chart.svg", chart=drawn, title=title, width=WIDTH, head=HEAD)
