"""`charpipe.sweep`: search the settings of an architecture from Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from charpipe.api.pipelines import Names, run_pipeline
from charpipe.api.progress_bar import showing
from charpipe.api.results import Swept
from charpipe.errors import Incomplete
from charpipe.events import Listener
from charpipe.stages.context import ignore
from charpipe.sweeps.sweep import Pruner, Sampler
from charpipe.sweeps.table import shown

Values = str | Sequence[str | float | bool | None]
"""A range, as in `"1e-3..1e-2:log"`, or a list of values."""


def sweep(
    corpus: str,
    space: Mapping[str, Values],
    arch: str | None = None,
    *,
    trials: int | None = None,
    sampler: Sampler = "tpe",
    pruner: Pruner = "median",
    storage: str | None = None,
    at_once: int = 1,
    preset: str | None = None,
    settings: Mapping[str, Any] | None = None,
    tags: Names = (),
    force: Names = (),
    listen: Listener = ignore,
    progress: bool | None = None,
) -> Swept:
    """Search the settings of an architecture with Optuna; see `charpipe run sweep`.

    `space` has dotted keys: `{"train.learning_rate": "1e-3..1e-2:log", "architectures.lstm.dropout": [0, 0.2, 0.4]}`.
    `at_once` trials run at a time; with more than one, each in a process of its own, and their events arrive as
    `OfTrial`, from several threads. Calling it again with the same arguments trains only what is not finished; with
    more `trials`, the search goes on. A trial that fails does not stop the others. `tags` and `force` are those of
    `charpipe.train`, for all trials. Raises CharpipeError.
    """
    options: dict[str, Any] = {
        "corpus": corpus,
        "space": [f"{key}={_written(values)}" for key, values in space.items()],
        "trials": trials,
        "sampler": sampler,
        "pruner": pruner,
        "storage": storage,
        "at_once": at_once,
    }
    if arch is not None:
        options["arch"] = arch
    with showing(progress, listen) as listener:
        try:
            _, found = run_pipeline("sweep", options, preset, settings, listener, tags=tags, force=force)
        except Incomplete as error:
            found = error.result
    return Swept(found.sweep, found.folder, found.trials, found.importances, found.command)


def _written(values: Values) -> str:
    return values if isinstance(values, str) else ",".join(_value(value) for value in values)


def _value(value: str | float | bool | None) -> str:
    return repr(value) if isinstance(value, float) else shown(value)
