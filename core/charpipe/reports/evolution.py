"""A run's samples by step as one text to read."""

from __future__ import annotations

from charpipe.reports.history import read_history
from charpipe.reports.markdown import fenced
from charpipe.reports.titles import run_title
from charpipe.runs import Run

LONGEST = 2000
"""Characters shown of each sample."""


def evolution(run: Run) -> str:
    """Markdown: a heading a step, and the sample fenced so that nothing in it is taken for markup."""
    parts = [f"# {run_title(run.info)}: samples by step\n"]
    for sample in read_history(run).samples:
        text = f"{sample['prompt']}{sample['text']}"[:LONGEST]
        parts.append(f"\n## Step {sample['step']:,}\n\n{fenced(text)}\n")
    return "".join(parts)
