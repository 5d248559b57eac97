"""Printing for people and for programs: tables, JSON arrays, JSON lines."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import typer

from charpipe.cli.defaults import spelled
from charpipe.plugin import Table


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
SMALL = 0.001
"""Of numbers below it, four decimal places show fewer than two digits."""
GAP = 3
"""Spaces between two columns."""


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    empty: str,
    drop: Sequence[str] = (),
    whole: Sequence[str] = (),
) -> None:
    """A plain table, or the sentence `empty` where there is nothing.

    On a terminal that is too narrow, columns are left out: first those of `drop` in their order, then from the
    right; one that still fits where a wider one did not is shown. The first column and those of `whole` hold names:
    a name is never cut or broken. Where output is no terminal nothing is left out, and the rule is as wide as the head.
    """
    listed = [[cell(value) for value in row] for row in rows]
    if not listed:
        typer.echo(empty)
        return
    for line in table_lines(columns, listed, terminal_width(), drop=drop, whole=whole):
        typer.echo(line)


def printed(lines: Iterable[str | Table], indent: str = "  ") -> Iterator[str]:
    """The lines that a pipeline shows, its tables as text as wide as the terminal has room for."""
    for line in lines:
        if isinstance(line, str):
            yield line
            continue
        width = terminal_width()
        room = None if width is None else width - len(indent)
        for row in table_lines(line.columns, line.rows, room, line.numbers, line.drop, line.whole):
            yield f"{indent}{row}".rstrip()


def table_lines(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int | None,
    numbers: Sequence[str] = (),
    drop: Sequence[str] = (),
    whole: Sequence[str] = (),
) -> list[str]:
    """A table as text of at most `width` columns (None: as wide as it is), by the rules of `print_table`.

    Where even the names alone are wider, they stand one a line, and the terminal wraps them.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable

    widths = [max(map(cell_len, cells)) for cells in zip(columns, *rows, strict=True)]
    if width is not None and widths[0] > width:
        return [row[0] for row in rows]
    shown = list(range(len(columns))) if width is None else fitting(columns, widths, width, drop, whole)
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for index in shown:
        table.add_column(
            columns[index],
            justify="right" if columns[index] in numbers else "left",
            no_wrap=_min_width(index, columns, widths, whole) == widths[index],
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(row[index] for index in shown))
    room = width or sum(widths) + GAP * len(widths) + GAP
    console = Console(width=room, markup=False, emoji=False, highlight=False, color_system=None)
    with console.capture() as captured:
        console.print(table)
    lines = [line.rstrip() for line in captured.get().rstrip("\n").splitlines()]
    if width is None:  # not as wide as the widest row, which may have hundreds of characters
        head = 1 + max(name.count("\n") for name in columns)
        lines[head] = lines[head][: max(map(cell_len, lines[:head]))]
    return lines


def terminal_width() -> int | None:
    """The columns of the terminal that output goes to; None where it goes elsewhere. FORCE_COLOR makes it a terminal,
    as for other programs."""
    there = sys.stdout.isatty() or bool(os.environ.get("FORCE_COLOR"))
    return shutil.get_terminal_size().columns if there else None


def fitting(
    columns: Sequence[str],
    widths: Sequence[int],
    width: int,
    drop: Sequence[str] = (),
    whole: Sequence[str] = (),
) -> list[int]:
    """The columns that have room in `width`, by number; the first is always among them."""
    first = [columns.index(name) for name in drop if name in columns]
    dropped = [*first, *(index for index in reversed(range(len(columns))) if index not in first)]
    shown, needed = {0}, widths[0]
    for index in reversed(dropped):
        more = GAP + _min_width(index, columns, widths, whole)
        if index and needed + more <= width:
            shown.add(index)
            needed += more
    return sorted(shown)


def _min_width(index: int, columns: Sequence[str], widths: Sequence[int], whole: Sequence[str]) -> int:
    """How narrow a column may become: names and short cells not at all."""
    named = index == 0 or columns[index] in whole
    return widths[index] if named or widths[index] <= PROSE else NARROWEST


def print_pairs(pairs: Iterable[tuple[str, object]], indent: str = "  ") -> None:
    """Keys and values in two columns, as plain text; pairs whose value is unknown are left out."""
    shown = [(key, cell(value)) for key, value in pairs if value is not None]
    width = max((cell_len(key) for key, _ in shown), default=0)
    for key, value in shown:
        typer.echo(f"{indent}{key}{' ' * (width - cell_len(key))}  {value}".rstrip())


def cell_len(text: str) -> int:
    """The terminal columns that a text takes."""
    from rich.cells import cell_len as measure

    return max(map(measure, text.split("\n")))


def written(value: object) -> str:
    """A setting as it is written in a file."""
    return value if isinstance(value, str) else spelled(value)


def cell(value: object) -> str:
    """A value as people read it, never as Python writes it; of a small number its first four digits."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4f}" if value == 0 or abs(value) >= SMALL else f"{value:.4g}"
    return spelled(value) if isinstance(value, Mapping | list | tuple) else str(value)
