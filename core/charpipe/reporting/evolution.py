"""A run's samples by step as one text to read."""

from __future__ import annotations

import re

from charpipe.reporting.history import read_history
from charpipe.reporting.titles import run_title
from charpipe.runs import Run

LONGEST = 2000
"""Characters shown of each sample."""


def evolution(run: Run) -> str:
    """Markdown: a heading a step, and the sample fenced so that nothing in it is taken for markup."""
    parts = [f"# {run_title(run.info)}: samples by step\n"]
    for sample in read_history(run).samples:
        text = f"{sample['prompt']}{sample['text']}"[:LONGEST]
        longest = max((len(ticks) for ticks in re.findall("`+", text)), default=0)
        fence = "`" * max(3, longest + 1)
        parts.append(f"\n## Step {sample['step']:,}\n\n{fence}text\n{text}\n{fence}\n")
    return "".join(parts)
