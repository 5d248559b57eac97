"""The table of a reproduction, what is to be known about it, and where to see more of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from charpipe.cli.output import table_lines, terminal_width

INDENT = "  "


def reproduction(result: Mapping[str, Any]) -> Iterator[str]:
    """The lines that close a reproduction. `result` is what `charpipe.comparison.tabulate` returned."""
    from charpipe.comparison.reproduction import Result, caveats

    results = [Result(**one) for one in result["results"]]
    yield ""
    yield from _table(results, result["scaled_to"])
    yield ""
    yield f"  here: on this machine, {result['scaled_to']}; published: trained for as long as it took in 2015."
    yield "  A published figure that could not be checked is blank."
    for line in caveats(results):
        yield f"  {line}"
    if result["folder"]:
        yield ""
        yield f"  {result['folder']}"
        yield f"  {'charpipe ui --charts':<58} see how they learnt, over each other"


def _table(results: list[Any], scaled_to: str) -> Iterator[str]:
    from charpipe.comparison.reproduction import cells_of, head

    columns, width = head(scaled_to), terminal_width()
    numbers = [columns[number] for number in (2, 4, 5)]
    room = None if width is None else width - len(INDENT)
    rows = [cells_of(one) for one in results]
    for line in table_lines(columns, rows, room, numbers, drop=("parameters",), whole=("model",)):
        yield f"{INDENT}{line}".rstrip()
