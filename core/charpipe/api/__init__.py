"""The Python call behind the main job: the same stages, store and runs as the command line, without Prefect."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from charpipe.api.loaded_model import Rnn
from charpipe.api.progress_bar import showing
from charpipe.api.results import Compared, Leaderboard, Trained
from charpipe.config import load_config
from charpipe.config.files import find_project_file
from charpipe.config.load import Resolved
from charpipe.config.ownership import check_plugin_folder
from charpipe.config.validation import validate
from charpipe.errors import Incomplete, UsageError
from charpipe.events import Listener
from charpipe.plugins.registry import Registry
from charpipe.stages import Context
from charpipe.stages.recipes import run_directly
from charpipe.stages.stage import ignore
from charpipe.tracking.models import find_model
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
    options = {"corpus": corpus, "arch": arch, "from_": start, "replay": replay}
    context, found = _run("train-and-sample", options, preset, settings, listen)
    folder = context.workspace.runs / found.run
    return Trained(found.run, folder, found.metrics, found.sample, found.predictions, found.warning)


def _run(
    name: str,
    values: Mapping[str, Any],
    preset: str | None,
    settings: Mapping[str, Any] | None,
    listen: Listener,
) -> tuple[Context, Any]:
    """Carry out the recipe of the pipeline `name` in this process; returns its result."""
    resolved = load_config(pipeline=name, preset=preset, settings=settings)
    context = Context(find_workspace(resolved.project_file), resolved, open_plugins(resolved), emit=listen)
    pipeline = context.registry.pipeline(name)
    options = validate(pipeline.options, values, prefix=f"pipelines.{name}")
    return context, run_directly(pipeline, options, context)


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
    options = {
        "corpus": corpus,
        "arch": ",".join(archs),
        "sizes": ",".join(map(str, sizes)),
        "layers": ",".join(map(str, layers)),
        "match": match,
        "seeds": seeds,
    }
    try:
        _, found = _run("compare-architectures", options, preset, settings, listen)
    except Incomplete as error:
        found = error.result
    value = found.to_json()
    return Compared(found.comparison, found.folder, Leaderboard(value["leaderboard"]), tuple(value["rows"]))


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
