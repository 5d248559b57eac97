"""What is said of an exported model: its run, its scores, the corpus and its licence."""

from __future__ import annotations

import math
from importlib.metadata import version
from pathlib import Path, PurePath

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from charpipe.config.load import Resolved
from charpipe.errors import RunError
from charpipe.models.card import read_card
from charpipe.models.loaded import Loaded
from charpipe.runs import Run
from charpipe.runs.folder import Status

KEY = "about"
"""The key of these facts in the `config.json` of an exported folder."""
SCORES = ("loss", "bits_per_char", "bits_per_byte", "perplexity")
"""The scores of a split that are told."""


class Facts(BaseModel):
    """The facts; empty or None is unknown. `scores` are metrics by name, such as `test/bits_per_char`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    run: str
    title: str
    parameters: int
    vocabulary_size: int
    plugin: str = ""
    """The module and version of the plugin with the architecture."""
    corpus: str = ""
    summary: str = ""
    license: str = ""
    trained: str = ""
    """The day on which the run was made."""
    steps: int | None = None
    scores: dict[str, float] = Field(default_factory=dict)
    charpipe: str = ""
    """The version of charpipe that exported it."""


def facts_of(loaded: Loaded, run: Run | None, resolved: Resolved, which: str = "best") -> Facts:
    """The facts of a model. Without its run, those that the model itself has."""
    model = loaded.model
    known = Facts(
        run=loaded.name,
        title=model.title,
        parameters=model.parameters,
        vocabulary_size=model.vocabulary_size,
        plugin=" ".join(model.plugin[key] for key in ("module", "version") if model.plugin.get(key)),
        charpipe=version("charpipe"),
    )
    if run is None:
        return known
    info, status = run.info, run.status
    entry = (status.best if which == "best" else None) or status.last or {}
    corpus = resolved.config.corpora.get(info.corpus)
    return known.model_copy(
        update={
            "corpus": _spoken(info.corpus),
            "summary": corpus.summary if corpus else "",
            "license": corpus.license if corpus else "",
            "trained": info.created[:10],
            "steps": entry.get("step", status.step) if info.is_trained_by_steps else None,
            "scores": _scores(status, entry.get("step")),
        }
    )


def facts_of_folder(folder: Path, loaded: Loaded) -> Facts | None:
    """The facts that an exported folder holds; None where it holds none that can be used."""
    found = read_card(folder).get(KEY)
    own = {
        "title": loaded.model.title,
        "parameters": loaded.model.parameters,
        "vocabulary_size": loaded.model.vocabulary_size,
    }
    try:
        return Facts.model_validate({**found, **own}) if isinstance(found, dict) else None
    except ValidationError as error:
        raise RunError(
            f"{folder / 'config.json'} has no usable {KEY!r}: {error.errors()[0]['msg']}"
        ) from error


def _spoken(corpus: str) -> str:
    """The name of a corpus; of a file its name only, since the folders above it are nobody's business."""
    return PurePath(corpus).name if "/" in corpus and "://" not in corpus else corpus


def _scores(status: Status, step: int | None) -> dict[str, float]:
    """The scores of the checkpoint of a step: those of the stage `evaluate` where they were computed for it."""
    scored = status.best or status.last or {}
    entry = scored if scored.get("step") == step else status.last or {}
    whole = status.metrics if status.state == "finished" and entry is scored else {}
    metrics = {**entry.get("metrics", {}), **whole}
    names = [f"{split}/{score}" for split in ("test", "val") for score in SCORES]
    return {name: float(metrics[name]) for name in names if math.isfinite(metrics.get(name, math.nan))}
