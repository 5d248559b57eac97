"""Finding a run by what a person types: its name, a unique beginning of it, `last`, `best:CORPUS`,
`champion:CORPUS`, `previous:CORPUS`, an MLflow id."""

from __future__ import annotations

import contextlib
import re
import secrets
from datetime import UTC, datetime
from pathlib import Path

from charpipe.config.files import find_project_file
from charpipe.errors import RunError, UsageError, near_match
from charpipe.identity import spoken
from charpipe.runs.folder import Run
from charpipe.workspace import Workspace


def new_name(corpus: str, architecture: str) -> str:
    """A name that a person can read and sort: `20261123-1041-linux_src-lstm-7f3a`."""
    slug = re.sub(r"[^\w.]+", "_", corpus).strip("_.")[:40] or "corpus"
    return f"{datetime.now(UTC):%Y%m%d-%H%M}-{slug}-{architecture}-{secrets.token_hex(2)}"


def list_runs(folder: Path) -> list[Run]:
    """All runs in a workspace's run folder, oldest first; a folder without a readable run.json is no run."""
    runs = [Run(path.parent) for path in folder.glob("*/run.json")]
    return sorted(runs, key=_created)


def readable_runs(folder: Path) -> list[Run]:
    """Those of `list_runs` whose description can be read: a damaged run harms only itself."""
    return [run for run in list_runs(folder) if _created(run)]


def _created(run: Run) -> str:
    try:
        return run.info.created
    except RunError:
        return ""


def find_run(folder: Path, wanted: str) -> Run:
    """The run that `wanted` names. Raises UsageError with near matches, or RunError where there is none yet."""
    runs = list_runs(folder)
    if wanted == "last":
        return _last(runs, "there is no run yet; type: charpipe run train-and-sample --corpus hello")
    if wanted.startswith("best:"):
        return _best(readable_runs(folder), wanted.removeprefix("best:"), folder.parent)
    if wanted.startswith(("champion:", "previous:")):
        return _champion(folder, wanted)
    by_name = {run.name: run for run in runs}
    if wanted in by_name:
        return by_name[wanted]
    starting = [run for run in runs if wanted and run.name.startswith(wanted)]
    if len(starting) == 1:
        return starting[0]
    if starting:
        raise UsageError(
            f"{wanted!r} begins the names of {len(starting)} runs: {', '.join(r.name for r in starting[-5:])}"
        )
    for run in readable_runs(folder):
        with contextlib.suppress(RunError):
            if run.status.mlflow.get("run_id") == wanted:
                return run
    raise UsageError(f"there is no run {wanted!r} in {folder}{near_match(wanted, list(by_name)[-20:])}")


def _last(runs: list[Run], otherwise: str) -> Run:
    if not runs:
        raise RunError(otherwise)
    return runs[-1]


def _champion(folder: Path, wanted: str) -> Run:
    """The run that the champion came from; its model is kept apart, and outlives it."""
    from charpipe.champions.records import named

    found = named(Workspace(folder.parent), wanted)
    if found is None or not (folder / found.run / "run.json").is_file():
        raise RunError(
            f"the run of {wanted} is gone; its model is kept, and still writes: charpipe sample {wanted}"
        )
    return Run(folder / found.run)


def _best(runs: list[Run], corpus: str, workspace: Path) -> Run:
    """The finished run of a corpus with the lowest bits per character, on the test split where it has one."""
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
