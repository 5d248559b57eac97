"""The table of a reproduction, what is to be known about it, and where to see more of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from typing import Any

WIDEST = 150


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
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from charpipe.comparison.reproduction import cells_of, head

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, column in enumerate(head(scaled_to)):
        table.add_column(column, justify="right" if number in (2, 4, 5) else "left", overflow="fold")
    for one in results:
        table.add_row(*cells_of(one))
    width = min(shutil.get_terminal_size((WIDEST, 24)).columns - 2, WIDEST)
    console = Console(width=width, markup=False, highlight=False, color_system=None)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().rstrip("\n").splitlines():
        yield f"  {line}".rstrip()
