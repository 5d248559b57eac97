"""What `sample` and `evaluate` begin with: the model of a run, and a text that the user gives for it."""

from __future__ import annotations

from typing import Any

import typer

from charpipe.cli.environment import open_registry, open_runs, open_workspace
from charpipe.errors import UsageError


def find_model(run: str, which: str, resolved: Any) -> Any:
    """The model of a run, from its best or last checkpoint."""
    return find_bundle(run, which, resolved).load()


def find_bundle(run: str, which: str, resolved: Any) -> Any:
    """Where the model of a run is, not loaded yet."""
    from charpipe.tracking import models

    if which not in ("best", "last"):
        raise UsageError(f"--checkpoint {which!r} is neither best nor last")
    runs = open_runs(resolved)
    return models.find_bundle(run, runs.workspace, open_registry(), resolved.config.tracking, which, runs)


def read_text(file: str, loaded: Any, resolved: Any, strict: bool, *, documents: bool = False) -> Any:
    """The text of a file for this model; what a person should know of it is told."""
    from charpipe.runs.given_text import read_given_text

    given = read_given_text(file, loaded, open_workspace(), resolved, strict=strict, documents=documents)
    for notice in given.notices:
        typer.echo(f"note: {notice}", err=True)
    return given


def skipped_json(given: Any) -> dict[str, Any]:
    """The characters that were skipped, for JSON; nothing where none were."""
    return {"skipped": given.fitted.as_json()} if given.fitted.skipped else {}
