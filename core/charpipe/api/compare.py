"""`charpipe.compare`: train and rank several architectures from Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from charpipe.api.pipelines import Names, run_pipeline
from charpipe.api.progress_bar import showing
from charpipe.api.results import Compared, Leaderboard
from charpipe.errors import Incomplete
from charpipe.events import Listener
from charpipe.stages.context import ignore

Match = Literal["parameters", "units", "time"]
"""What all configurations of a comparison have in common."""


def compare(
    corpus: str,
    archs: Sequence[str] | None = None,
    *,
    sizes: Sequence[int] = (128,),
    layers: Sequence[int] = (1,),
    match: Match = "parameters",
    seeds: int = 1,
    at_once: int = 1,
    preset: str | None = None,
    settings: Mapping[str, Any] | None = None,
    tags: Names = (),
    force: Names = (),
    listen: Listener = ignore,
    progress: bool | None = None,
) -> Compared:
    """Train architectures on one corpus, and rank them; see `charpipe run compare-architectures`, whose architectures
    are the default. If a training fails, its row holds the error and the others continue.

    `at_once` trials run at a time; with more than one, each in a process of its own, and their events arrive as
    `OfTrial`, from several threads. `tags` and `force` are those of `charpipe.train`, for all trials.

    A terminal or notebook shows a progress bar; `progress` turns it on or off. Calling it again with the same
    arguments trains only what is not finished. Raises CharpipeError.
    """
    options: dict[str, Any] = {
        "corpus": corpus,
        "sizes": ",".join(map(str, sizes)),
        "layers": ",".join(map(str, layers)),
        "match": match,
        "seeds": seeds,
        "at_once": at_once,
    }
    if archs is not None:
        options["arch"] = ",".join(archs)
    with showing(progress, listen) as listener:
        try:
            _, found = run_pipeline(
                "compare-architectures", options, preset, settings, listener, tags=tags, force=force
            )
        except Incomplete as error:
            found = error.result
    value = found.to_json()
    return Compared(found.comparison, found.folder, Leaderboard(value["leaderboard"]), tuple(value["rows"]))
