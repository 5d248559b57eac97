"""The Python call behind the main job: the same stages, store and runs as the command line, without Prefect."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from charpipe import stages
from charpipe.bar import showing
from charpipe.config import load_config
from charpipe.config.files import find_project_file
from charpipe.config.load import Resolved
from charpipe.config.ownership import check_plugin_folder
from charpipe.errors import Incomplete, UsageError
from charpipe.events import Listener
from charpipe.library import find_model
from charpipe.registry import Registry
from charpipe.results import Compared, Leaderboard, Trained
from charpipe.rnn import Rnn
from charpipe.stages import Session, TrainRequest
from charpipe.stages.session import ignore
from charpipe.workspace import find_workspace

Match = Literal["parameters", "units", "time"]
"""What all configurations of a comparison have alike."""


def train(
    corpus: str,
    arch: str = "lstm",
    *,
    preset: str | None = None,
    settings: Mapping[str, Any] | None = None,
    start: str | None = None,
    replay: str | None = None,
    listen: Listener = ignore,
    progress: bool | None = None,
) -> Trained:
    """Train `arch` on a corpus (a name of the catalogue, a path or a URL), score it and let it write.

    With `start`, the name of a run or `champion:CORPUS`, it goes on from what that one learnt. With `replay`, the name
    of a finished run, it makes that one's steps with its learning rates again, however long that takes.
    `settings` has dotted keys, as in `{"train.steps": 500}`; `listen` is called with every event. A bar shows
    the progress in a terminal and in a notebook; `progress` turns it on or off. The same call again returns the
    same run. Raises CharpipeError.
    """
    with showing(progress, listen) as told:
        return _train(corpus, arch, preset, settings, start, replay, told)


def _train(
    corpus: str,
    arch: str,
    preset: str | None,
    settings: Mapping[str, Any] | None,
    start: str | None,
    replay: str | None,
    listen: Listener,
) -> Trained:
    """The stages of `train`, one after another."""
    resolved = load_config(pipeline="train-and-sample", preset=preset, settings=settings)
    session = Session(find_workspace(resolved.project_file), resolved, open_plugins(resolved), emit=listen)
    stages.check_here(session, corpus, arch, replay=replay)
    beginning = stages.find_beginning(session, start)
    documents = stages.ingest(session, corpus)
    vocabulary = stages.learn_vocabulary(session, corpus, documents, beginning)
    tokens = stages.encode(session, corpus, documents, vocabulary)
    options = {"corpus": corpus, "arch": arch, "from_": start, "replay": replay}
    request = TrainRequest(corpus, arch, "train-and-sample", options, beginning, replay)
    trained = stages.train(session, request, tokens, vocabulary)
    scores = stages.evaluate(session, trained, tokens)
    written = stages.sample(session, trained)
    folder = session.workspace.root / trained.path
    return Trained(
        trained.run,
        folder,
        scores["metrics"],
        written["text"],
        tuple(scores["predictions"]),
        scores["warning"],
    )


def compare(
    corpus: str,
    archs: Sequence[str] = ("rnn", "lstm", "gru"),
    *,
    sizes: Sequence[int] = (128,),
    layers: Sequence[int] = (1,),
    match: Match = "parameters",
    seeds: int = 1,
    preset: str | None = None,
    settings: Mapping[str, Any] | None = None,
    listen: Listener = ignore,
    progress: bool | None = None,
) -> Compared:
    """Train architectures side by side on one corpus, one after another, and rank them; see `charpipe run
    compare-architectures`. A training that fails is a row with its error, and the others go on.

    A bar shows the progress in a terminal and in a notebook; `progress` turns it on or off. The same call again
    trains only what is not finished. Raises CharpipeError.
    """
    with showing(progress, listen) as told:
        return _compare(corpus, archs, sizes, layers, match, seeds, preset, settings, told)


def _compare(
    corpus: str,
    archs: Sequence[str],
    sizes: Sequence[int],
    layers: Sequence[int],
    match: Match,
    seeds: int,
    preset: str | None,
    settings: Mapping[str, Any] | None,
    listen: Listener,
) -> Compared:
    """The stages of `compare`, one after another."""
    from charpipe import comparison

    resolved = load_config(pipeline="compare-architectures", preset=preset, settings=settings)
    session = Session(find_workspace(resolved.project_file), resolved, open_plugins(resolved), emit=listen)
    for arch in archs:
        stages.check_here(session, corpus, arch)
    documents = stages.ingest(session, corpus)
    vocabulary = stages.learn_vocabulary(session, corpus, documents)
    tokens = stages.encode(session, corpus, documents, vocabulary)
    settled = comparison.settle(session, corpus, archs, sizes, layers, seeds, match, tokens)
    rows = [
        comparison.train_cell(session, cell, corpus, tokens, vocabulary, settled.name)
        for cell in settled.cells
    ]
    try:
        found = comparison.conclude(session, settled, rows)
    except Incomplete as error:
        found = error.result
    ranked = Leaderboard(found["leaderboard"])
    return Compared(found["comparison"], Path(found["folder"]), ranked, tuple(found["rows"]))


def load(run: str = "last", which: str = "best", *, device: str = "auto") -> Rnn:
    """The model of a run: its name, a unique beginning of it, an MLflow run id, `last`, `best:CORPUS` or
    `champion:CORPUS`; its "best" or "last" checkpoint.

    Looks in the workspace of the project in reach, then in the MLflow that its settings name. Raises CharpipeError.
    """
    resolved = load_config()
    workspace = find_workspace(find_project_file())
    registry = open_plugins(resolved)
    if which not in ("best", "last"):
        raise UsageError(f"there is no {which!r} checkpoint; say best or last")
    loaded = find_model(run, workspace, registry, resolved.config.tracking, which)
    return Rnn(loaded, registry.all("decoder"), device)


def open_plugins(resolved: Resolved) -> Registry:
    """The installed plugins and those in the folders that the project file names."""
    if resolved.project_file is None:
        return Registry()
    paths = resolved.config.plugins.paths
    project = resolved.project_file.parent
    folders = [project / os.path.expanduser(path) for path in paths]  # noqa: PTH111  an unknown user stays as written
    return Registry([check_plugin_folder(folder, project) for folder in folders])
