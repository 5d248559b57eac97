"""A run's samples by step, as one text."""

from __future__ import annotations

from charpipe.reports.history import read_history
from charpipe.reports.markdown import fenced
from charpipe.reports.titles import run_title
from charpipe.runs import Run

MAX_SAMPLE = 2000
"""Characters shown of each sample."""


def evolution(run: Run) -> str:
    """Markdown with a heading per step, and each sample fenced so that none of it is interpreted as markup."""
    parts = [f"# {run_title(run.info)}: samples by step\n"]
    for sample in read_history(run).samples:
        text = f"{sample['prompt']}{sample['text']}"[:MAX_SAMPLE]
        parts.append(f"\n## Step {sample['step']:,}\n\n{fenced(text)}\n")
    return "".join(parts)
