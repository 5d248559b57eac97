"""The leaderboard of a comparison as a table, and where to see more of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from typing import Any

from charpipe.comparison.leaderboard import HEAD, Standing, cells_of

WIDEST = 118
SPLITS = {"test": "test text", "val": "validation text"}


def ranking(result: Mapping[str, Any]) -> Iterator[str]:
    """The lines that close a comparison, best configuration first."""
    standings = [Standing(**one) for one in result["leaderboard"]]
    yield ""
    yield from _table(standings)
    yield ""
    split = SPLITS[standings[0].split] if standings else ""
    seeds = max((one.seeds for one in standings), default=0)
    spread = "; ±: standard deviation over seeds" if seeds > 1 else ""
    yield f"  bits/char: of the whole {split}; losses: nats per token; seconds: of one training{spread}"
    for run in (row["run"] for row in result.get("rows", []) if row.get("worse_than_guessing")):
        yield f"  worse than guessing: {run}; for what to set, type: charpipe runs show {run}"
    yield ""
    yield f"  {result['folder']}"
    for command, meaning in (
        ("charpipe ui --charts", "see how they learnt, over each other"),
        (f"charpipe runs list --corpus {result['corpus']}", "every run"),
    ):
        yield f"  {command:<58} {meaning}"


def _table(standings: list[Standing]) -> Iterator[str]:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    numbers = HEAD[1:-1]
    for column in HEAD:
        table.add_column(
            column,
            justify="right" if column in numbers else "left",
            no_wrap=column in numbers or column == HEAD[0],
            overflow="fold",
        )
    for one in standings:
        table.add_row(*cells_of(one))
    width = min(shutil.get_terminal_size((WIDEST, 24)).columns - 2, WIDEST)
    console = Console(width=width, markup=False, highlight=False, color_system=None)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().rstrip("\n").splitlines():
        yield f"  {line}".rstrip()
