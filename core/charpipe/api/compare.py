"""`charpipe.compare`: architectures trained side by side, as a Python call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from charpipe.api.pipelines import run_pipeline
from charpipe.api.progress_bar import showing
from charpipe.api.results import Compared, Leaderboard
from charpipe.errors import Incomplete
from charpipe.events import Listener
from charpipe.stages.stage import ignore

Match = Literal["parameters", "units", "time"]
"""What all configurations of a comparison have alike."""


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
        _, found = run_pipeline("compare-architectures", options, preset, settings, listen)
    except Incomplete as error:
        found = error.result
    value = found.to_json()
    return Compared(found.comparison, found.folder, Leaderboard(value["leaderboard"]), tuple(value["rows"]))
