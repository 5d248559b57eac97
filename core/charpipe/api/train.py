"""`charpipe.train`: train a model from Python, with the same pipeline, store and runs as the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from charpipe.api.pipelines import Names, run_pipeline
from charpipe.api.progress_bar import showing
from charpipe.api.results import Trained
from charpipe.events import Listener
from charpipe.stages.context import ignore


def train(
    corpus: str,
    arch: str | None = None,
    *,
    preset: str | None = None,
    settings: Mapping[str, Any] | None = None,
    start: str | None = None,
    replay: str | None = None,
    tags: Names = (),
    force: Names = (),
    runner: Literal["local", "ray"] = "local",
    workers: int = 1,
    listen: Listener = ignore,
    progress: bool | None = None,
) -> Trained:
    """Train `arch` on a corpus (a catalogue name, a path or a URL), evaluate it and generate a sample.

    `arch` is an architecture's name; None: that of `charpipe run train-and-sample`.
    `start`, the name of a run or `champion:CORPUS`, is a warm start from that model. `replay`, the name of a finished
    run, repeats that run's steps with its learning rates, however long that takes. `settings` has dotted keys, as in
    `{"train.steps": 500}`. `tags` tag the run: words or KEY=VALUE, in place of the setting `tracking.tags`. `force`
    names stages to run even if their results exist. With `runner="ray"` so many `workers` train together on the cluster
    of `[cluster] ray`; the other stages run in this process. `listen` is called with every event. A terminal or
    notebook shows a progress bar; `progress` turns it on or off. Calling it again with the same arguments returns the
    same run. Raises CharpipeError.
    """
    options = {
        "corpus": corpus,
        "arch": arch,
        "from_": start,
        "replay": replay,
        "runner": runner,
        "workers": workers,
    }
    with showing(progress, listen) as listener:
        context, found = run_pipeline(
            "train-and-sample", options, preset, settings, listener, tags=tags, force=force
        )
    folder = context.workspace.runs / found.run
    return Trained(found.run, folder, found.metrics, found.sample, found.predictions, found.warning)
