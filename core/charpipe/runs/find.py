"""Find a run by what the user types: its name, a unique prefix of it, the name that the user gave it, its short name
or title as pages show it (`31a4`, `lstm 1x128 · 31a4`), `last`, `best:CORPUS`, `champion:CORPUS`, `previous:CORPUS`, or
an MLflow run id."""

from __future__ import annotations

import contextlib
import re
import secrets
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import Literal

from charpipe.champions.records import named
from charpipe.champions.references import parse_reference
from charpipe.config.files import find_project_file
from charpipe.config.identity import spoken
from charpipe.errors import RunError, UsageError, near_match
from charpipe.runs.annotations import read_annotations
from charpipe.runs.folder import Run
from charpipe.runs.shared_record import read_record
from charpipe.runs.titles import run_title, seeded_title, short_name
from charpipe.workspace import Workspace

Use = Literal["any", "model", "resume"]
"""Which runs `last` considers: all, those with a model, or those that can be resumed."""
LISTED = 5
"""Maximum number of candidates that the error for an ambiguous name lists."""


def new_name(corpus: str, architecture: str) -> str:
    """A new, readable run name that sorts by time: `20261123-1041-linux_src-lstm-7f3a`."""
    slug = re.sub(r"[^\w.]+", "_", corpus).strip("_.")[:40] or "corpus"
    return f"{datetime.now(UTC):%Y%m%d-%H%M}-{slug}-{architecture}-{secrets.token_hex(2)}"


def list_runs(folder: Path) -> list[Run]:
    """All runs in a workspace's run folder, oldest first. A folder without a run.json is not a run."""
    runs = [Run(path.parent) for path in folder.glob("*/run.json")]
    return sorted(runs, key=_created)


def readable_runs(folder: Path) -> list[Run]:
    """The runs of `list_runs` whose run.json can be read; damaged ones are skipped."""
    return [run for run in list_runs(folder) if _created(run)]


def _created(run: Run) -> str:
    try:
        return run.info.created
    except RunError:
        return ""


def find_run(folder: Path, wanted: str, use: Use = "any") -> Run:
    """The run that `wanted` names; `use` says which runs `last` considers.

    Raises UsageError with near matches if none or several match, and RunError if there is no suitable run yet.
    """
    runs = list_runs(folder)
    if wanted == "last":
        return _last(runs, use)
    if wanted.startswith("best:"):
        return _best(readable_runs(folder), wanted.removeprefix("best:"), folder.parent)
    if parse_reference(wanted) is not None:
        return _champion(folder, wanted)
    by_name = {run.name: run for run in runs}
    if wanted in by_name:
        return by_name[wanted]
    given = {run.name: name for run in runs if (name := given_name(run)) is not None}
    found = [by_name[name] for name, other in given.items() if other == wanted]
    found = found or [run for run in runs if wanted and _is_called(run, wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(run.name for run in found[-LISTED:])
        how = (
            "is a prefix of the names of" if all(run.name.startswith(wanted) for run in found) else "matches"
        )
        raise UsageError(f"{wanted!r} {how} {len(found)} runs; type more of the name of one: {listed}")
    for run in readable_runs(folder):
        with contextlib.suppress(RunError):
            if run.status.mlflow.get("run_id") == wanted:
                return run
    raise UsageError(
        f"there is no run {wanted!r} in {folder}{near_match(wanted, [*list(by_name)[-20:], *given.values()])}"
    )


def given_name(run: Run) -> str | None:
    """The name that the user gave the run, if any."""
    try:
        return read_annotations(run.folder).name
    except RunError:
        return None


def _is_called(run: Run, wanted: str) -> bool:
    """Whether `wanted` is a prefix of the run's name, or equals its short name or one of its titles."""
    if run.name.startswith(wanted) or short_name(run.name) == wanted:
        return True
    if "·" not in wanted:
        return False
    words = wanted.split()
    try:
        return words in (run_title(run.info).split(), seeded_title(run.info).split())
    except RunError:
        return False


def _last(runs: list[Run], use: Use) -> Run:
    """The newest run that fits `use`. Raises RunError if there is none."""
    if not runs:
        raise RunError("there is no run yet; type: charpipe run train-and-sample --corpus hello")
    for run in reversed(runs):
        if fits(run, use):
            return run
    if use == "resume":
        raise RunError(
            f"no run here can be resumed; the newest, {runs[-1].name}, is {_state(runs[-1])}; "
            "for all of them, type: charpipe runs list"
        )
    raise RunError(
        f"no run here has a model yet; the newest, {runs[-1].name}, is {_state(runs[-1])}; "
        "for all of them, type: charpipe runs list"
    )


def fits(run: Run, use: Use) -> bool:
    """Whether a run fits `use`."""
    return {"any": lambda run: True, "model": has_model, "resume": is_resumable}[use](run)


def has_model(run: Run) -> bool:
    """Whether a run has a checkpoint to sample from, here or in the shared store."""
    try:
        run.checkpoint("best")
    except RunError:
        return _is_elsewhere(run)
    return True


def _is_elsewhere(run: Run) -> bool:
    """Whether the run's checkpoints are in the shared store."""
    record = read_record(run.folder)
    try:
        return record is not None and not record.mine and run.status.last is not None
    except RunError:
        return False


def is_resumable(run: Run) -> bool:
    """Whether a run is unfinished; a failed run must also have a checkpoint."""
    try:
        status = run.status
    except RunError:
        return False
    return status.state != "finished" and (status.state != "failed" or has_model(run))


def _state(run: Run) -> str:
    try:
        return run.status.state
    except RunError:
        return "damaged"


def _champion(folder: Path, wanted: str) -> Run:
    """The run that produced the champion. The champion's model is stored separately and outlives the run."""
    found = named(Workspace(folder.parent), wanted)
    if found is None or not (folder / found.run / "run.json").is_file():
        raise RunError(
            f"the run of {wanted} is gone; its model is kept; type: charpipe sample {quote(wanted)}"
        )
    return Run(folder / found.run)


def _best(runs: list[Run], corpus: str, workspace: Path) -> Run:
    """The finished run of a corpus with the lowest `val/bits_per_char`, else `test/bits_per_char`."""
    corpus, scored = spoken(corpus, [run.info.corpus for run in runs], workspace, find_project_file()), []
    for run in runs:
        try:
            status = run.status
        except RunError:
            continue
        if run.info.corpus == corpus and status.state == "finished":
            score = status.metrics.get("val/bits_per_char", status.metrics.get("test/bits_per_char"))
            if score is not None:
                scored.append((score, run.name, run))
    if not scored:
        corpora = sorted({run.info.corpus for run in runs})
        raise RunError(f"no finished run of {corpus!r} has a score yet{near_match(corpus, corpora)}")
    return min(scored)[2]
