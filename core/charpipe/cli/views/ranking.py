"""The leaderboard of a comparison as a table, and where to see more of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from charpipe.cli.output import table_lines, terminal_width
from charpipe.comparison.leaderboard import HEAD, Standing, cells_of

INDENT = "  "
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
    width = terminal_width()
    rows = [cells_of(one) for one in standings]
    # the last column also says why a configuration failed: it goes only after these
    drop = ("seconds", "chars/s", "val loss", "±", "parameters", "test loss")
    room = None if width is None else width - len(INDENT)
    for line in table_lines(HEAD, rows, room, numbers=HEAD[1:-1], drop=drop):
        yield f"{INDENT}{line}".rstrip()
