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


def print_json(value: Any) -> None:
    """One JSON value on one line; text in any script as it is, where output is UTF-8."""
    escaped = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    typer.echo(json.dumps(value, ensure_ascii=escaped, default=str))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> None:
    """A plain table, or the sentence `empty` where there is nothing."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    listed = [[_cell(value) for value in row] for row in rows]
    if not listed:
        typer.echo(empty)
        return
    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for row in listed:
        table.add_row(*row)
    console = Console(soft_wrap=False, markup=False)
    if not console.is_terminal:
        console.width = max(console.width, 200)
    console.print(table)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)
