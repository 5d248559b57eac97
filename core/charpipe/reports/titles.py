"""Titles of runs in reports; see `charpipe.runs.titles`."""

from charpipe.runs.titles import model_title, run_title, seeded_title

__all__ = ["model_title", "run_title", "seeded_title"]
