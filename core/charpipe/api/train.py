"""`charpipe.train`: the main job as a Python call, with the same recipe, store and runs as the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from charpipe.api.pipelines import run_pipeline
from charpipe.api.progress_bar import showing
from charpipe.api.results import Trained
from charpipe.events import Listener
from charpipe.stages.stage import ignore


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
    context, found = run_pipeline("train-and-sample", options, preset, settings, listen)
    folder = context.workspace.runs / found.run
    return Trained(found.run, folder, found.metrics, found.sample, found.predictions, found.warning)
