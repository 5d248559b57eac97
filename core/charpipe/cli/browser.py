"""`--open`: a page that was written, in the user's browser."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

Open = Annotated[bool, typer.Option("--open", help="Open the page in the browser.")]


def open_page(page: Path) -> None:
    """Open the page; where there is no browser, say so on stderr and what to do instead."""
    try:
        opened = webbrowser.open(page.resolve().as_uri())
    except (webbrowser.Error, OSError):
        opened = False
    if not opened:
        typer.echo(
            f"note: no browser was found here; open {page} in one yourself, or copy it to a machine that has one",
            err=True,
        )
