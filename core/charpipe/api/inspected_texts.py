"""The texts of an inspection: a user's file, or the splits of a run's corpus."""

from __future__ import annotations

import contextlib
from typing import Any

from charpipe.errors import RunError, StoreError, UsageError
from charpipe.inspection import passages
from charpipe.models.loaded import Loaded
from charpipe.runs import Run
from charpipe.runs.given_text import GivenText
from charpipe.runs.library import RunLibrary
from charpipe.runs.paths import is_path
from charpipe.store.paths import shell_word
from charpipe.text import open_tokens
from charpipe.workspace import Workspace


def known_run(workspace: Workspace, name: str) -> Run | None:
    """The run in this workspace; None if the model came from elsewhere. Raises RunError for another schema."""
    run = Run(workspace.runs / name)
    if not (run.folder / "run.json").is_file():
        return None
    return run if run.info else None


def inspected_texts(
    runs: RunLibrary,
    run: Run | None,
    loaded: Loaded,
    given: GivenText | None,
    wanted: str,
    length: int,
    searched: int,
) -> passages.Passages:
    """The text to show and those to search: the given one, or those of the corpus of the run, which the user called
    `wanted`. Raises as `splits_of` does."""
    if given is not None:
        return passages.of_text(
            given.text,
            given.name,
            loaded.encoding,
            length,
            searched,
            given.characters,
            given.fitted.skipped.total(),
            given.notices,
        )
    splits = splits_of(runs, run, loaded, wanted, f"give a file: charpipe inspect {shell_word(wanted)} FILE")
    return passages.of_splits(splits, loaded.encoding, length, run.info.corpus if run else "")


def splits_of(runs: RunLibrary, run: Run | None, loaded: Loaded, wanted: str, advice: str) -> dict[str, Any]:
    """The tokens of the run's corpus by split.

    Raises RunError if they are gone, and UsageError if `wanted` is the folder of an exported model, which has none;
    both messages end with `advice`.
    """
    if run is None:
        if is_path(wanted):
            raise UsageError(f"an exported model has no held-out text; {advice}")
        raise RunError(f"the texts of {loaded.name} are not in this workspace; {advice}")
    folder = runs.obtain(run.info.inputs.get("tokens", ""))
    splits = {}
    for name in ("val", "test", "train"):
        with contextlib.suppress(StoreError):
            splits[name] = open_tokens(folder, name).tokens
    if not any(len(tokens) > 1 for tokens in splits.values()):
        raise RunError(f"the tokens of {loaded.name} are gone; {advice}")
    return splits
