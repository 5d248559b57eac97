"""Printing for people and for programs: tables, JSON arrays, JSON lines."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import typer


def speak_safely() -> None:
    """A terminal or file that cannot hold a character gets a question mark for it, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def visible(text: str, encoding: str | None = "utf-8") -> str:
    """`text` with its control characters, which could move a terminal's cursor or command it, as symbols: ␍ for CR,
    ␛ for escape, \\x9b for C1. Line breaks and tabs stay. Where the terminal has no such symbols: ^M, ^[."""
    try:
        "␍".encode(encoding or "ascii")
    except (UnicodeError, LookupError):
        return text.translate(_CARETS)
    return text.translate(_SYMBOLS)


_C0 = [code for code in range(32) if chr(code) not in "\n\t"]
_C1 = {code: f"\\x{code:02x}" for code in range(0x80, 0xA0)}
_SYMBOLS = {code: chr(0x2400 + code) for code in _C0} | {0x7F: "␡"} | _C1
_CARETS = {code: f"^{chr(code + 64)}" for code in _C0} | {0x7F: "^?"} | _C1


def for_output(text: str) -> str:
    """`text` as standard output may have it: exact, or made `visible` where that is a terminal."""
    return visible(text, sys.stdout.encoding) if sys.stdout.isatty() else text


def print_json(value: Any) -> None:
    """One JSON value on one line; text in any script as it is, where output is UTF-8."""
    escaped = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    typer.echo(json.dumps(value, ensure_ascii=escaped, default=str))


PROSE = 24
"""A column of longer cells holds prose, which may be wrapped, down to `NARROWEST`."""
NARROWEST = 16
GAP = 3
"""Spaces between two columns."""


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], empty: str, drop: Sequence[str] = ()
) -> None:
    """A plain table, or the sentence `empty` where there is nothing.

    On a terminal that is too narrow, columns are left out: first those of `drop` in their order, then from the
    right. The first column holds names and is never cut. Where output is no terminal nothing is left out.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    listed = [[_cell(value) for value in row] for row in rows]
    if not listed:
        typer.echo(empty)
        return
    console = Console(soft_wrap=False, markup=False, highlight=False)
    widths = [max(map(cell_len, cells)) for cells in zip(columns, *listed, strict=True)]
    shown = list(range(len(columns)))
    if console.is_terminal:
        shown = fitting(columns, widths, console.width, drop)
    else:
        console.width = sum(widths) + GAP * len(widths) + GAP
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for index in shown:
        table.add_column(columns[index], no_wrap=index == 0 or widths[index] <= PROSE, overflow="fold")
    for row in listed:
        table.add_row(*(row[index] for index in shown))
    if widths[0] > console.width:
        for row in listed:
            typer.echo(row[0])
        return
    console.print(table)


def table_lines(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int | None,
    numbers: Sequence[str] = (),
    drop: Sequence[str] = (),
) -> list[str]:
    """A table as text of at most `width` columns (None: as wide as it is), by the rules of `print_table`."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    widths = [max(map(cell_len, cells)) for cells in zip(columns, *rows, strict=True)]
    whole = sum(widths) + GAP * len(widths) + GAP
    shown = list(range(len(columns))) if width is None else fitting(columns, widths, width, drop)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for index in shown:
        table.add_column(
            columns[index],
            justify="right" if columns[index] in numbers else "left",
            no_wrap=index == 0 or widths[index] <= PROSE,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(row[index] for index in shown))
    console = Console(width=max(width or whole, widths[0]), markup=False, highlight=False, color_system=None)
    with console.capture() as captured:
        console.print(table)
    return [line.rstrip() for line in captured.get().rstrip("\n").splitlines()]


def terminal_width() -> int | None:
    """The columns of the terminal that output goes to; None where it goes elsewhere."""
    import shutil

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def fitting(columns: Sequence[str], widths: Sequence[int], width: int, drop: Sequence[str]) -> list[int]:
    """The columns that have room in `width`, by number; the first is always among them."""
    shown = list(range(len(columns)))
    first = [columns.index(name) for name in drop if name in columns]
    order = [*first, *(index for index in reversed(shown) if index not in first)]

    def needed() -> int:
        least = [widths[n] if n == 0 or widths[n] <= PROSE else NARROWEST for n in shown]
        return sum(least) + GAP * (len(shown) - 1)

    for index in order:
        if needed() <= width or index == 0:
            break
        shown.remove(index)
    return shown


def cell_len(text: str) -> int:
    """The terminal columns that a text takes."""
    from rich.cells import cell_len as measure

    return max(map(measure, text.split("\n")))


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)
