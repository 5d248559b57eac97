"""`charpipe.inspect`: write a page with the activations of a trained model's units, and find interpretable units."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charpipe import inspection
from charpipe.api.inspected_texts import inspected_texts, known_run
from charpipe.api.pipelines import open_runs
from charpipe.config import load_config
from charpipe.config.files import find_project_file
from charpipe.config.load import Resolved
from charpipe.config.plugin_folders import open_plugins
from charpipe.errors import CharpipeError, UsageError
from charpipe.inspection import passages
from charpipe.inspection.formatting import ablations_json, as_json
from charpipe.inspection.page import page
from charpipe.inspection.text_kinds import kind_named
from charpipe.inspection.units import count
from charpipe.models import Predictor, build_model
from charpipe.models.fitted import FittedModel
from charpipe.models.loaded import Loaded
from charpipe.models.precision import choose_device
from charpipe.pages.notebook import escaped, shortened
from charpipe.plugins.registry import Registry
from charpipe.runs import Run
from charpipe.runs.given_text import read_given_text
from charpipe.runs.paths import is_path
from charpipe.runs.uniform_baseline import warn_about_text
from charpipe.store.atomic import write_text
from charpipe.tracking import locate
from charpipe.tracking.attachments import attach
from charpipe.tracking.models import find_model
from charpipe.workspace import Workspace, find_workspace

SEARCHED = 65_536
"""Characters that the search reads: half to choose units, half to score them."""
CONTROLS = (1001, 1002)
"""Seeds of the untrained networks."""
FOLDER = "inspection"
"""The folder of inspection pages among a run's artifacts in MLflow."""


@dataclass(frozen=True, repr=False)
class Inspection:
    """The result of an inspection: the page's file, its path among the run's artifacts in MLflow (None if it is not
    there), the reading that it shows, and the search (None if there was nothing to search)."""

    run: str
    source: str
    page: Path
    artifact: str | None
    reading: inspection.Reading
    search: inspection.Search | None
    ablations: inspection.Ablations | None = None
    """How the loss rises with a unit held at its mean: of the units found, or of all. None if there are none."""
    notices: tuple[str, ...] = ()
    skipped: int = 0
    """Characters of the user's text that are not in the vocabulary; they were not read."""

    def __repr__(self) -> str:
        run, source = shortened(self.run, 120), shortened(self.source, 120)
        page = shortened(str(self.page), 300)
        return f"<Inspection of {run} on {source}: {self.reading!r}, {self.search!r}, page {page}>"

    def _repr_html_(self) -> str:
        """The text colored by surprise and the units found, for notebooks; the page has all units."""
        where = (
            f"<p>{escaped(self.run)} on {escaped(self.source)}; the page: {escaped(str(self.page), 300)}</p>"
        )
        notices = "".join(f"<p>note: {escaped(notice, 400)}</p>" for notice in self.notices[:5])
        found = self.search._repr_html_() if self.search else ""
        return f"{where}{notices}{found}{self.reading._repr_html_()}"

    def as_json(self) -> dict[str, Any]:
        """The findings as a JSON object, without the activations."""
        return {
            "run": self.run,
            "source": self.source,
            "characters": len(self.reading.text),
            "bits_per_char": round(self.reading.bits_per_char, 4),
            "units": count(self.reading.groups),
            "page": str(self.page),
            "artifact": self.artifact,
            "search": as_json(self.search) if self.search else None,
            "ablations": ablations_json(self.ablations) if self.ablations else None,
            "skipped": self.skipped,
            "notices": list(self.notices),
        }


def inspect(
    run: str = "last",
    file: str | Path | None = None,
    *,
    output: str | Path | None = None,
    length: int | None = None,
    searched: int = SEARCHED,
    which: str = "best",
    device: str = "cpu",
    strict: bool = False,
    kind: str | None = None,
    probe_units: int = 5,
    ablate: bool = False,
    resolved: Resolved | None = None,
    report: Callable[[str], None] = lambda sentence: None,
) -> Inspection:
    """Inspect the model of a run on a text of your own (`file`), or on the run's validation text.

    The page shows the first `length` characters; `searched` characters are searched for interpretable units (0: no
    search). The page is written to `output`, by default into the run's folder, and logged to MLflow if the run is
    there. A file is read in the same way as the run's corpus; characters that are not in the vocabulary are skipped
    with a notice, or refused with `strict`. `kind` ("code", "prose", "verse", or "mixed" for all signals) overrides
    the detected kind of text. For each signal a probe of up to `probe_units` units together is fitted (0: none). The
    units found are held at their means, one at a time, to measure what they are worth (`ablations`); with `ablate` all
    units are. Raises CharpipeError.
    """
    resolved = resolved or load_config()
    workspace, registry = find_workspace(find_project_file()), open_plugins(resolved)
    if searched and searched < inspection.MIN_SEARCHED:
        raise UsageError(f"a search needs {inspection.MIN_SEARCHED:,} characters; 0 leaves it out")
    if kind is not None and not searched:
        raise UsageError(
            f"the kind {kind!r} says which units to search for, but nothing is searched; leave one out"
        )
    if ablate and not searched:
        raise UsageError(
            "units are held over the text that is searched, but nothing is searched; leave one out"
        )
    asked = kind_named(kind) if kind is not None else None
    runs = open_runs(resolved)
    loaded = find_model(run, workspace, registry, resolved.config.tracking, which, runs)
    known = known_run(workspace, loaded.name)
    predictor = loaded.predictor(device)
    units = count(inspection.groups(predictor))
    shown = passages.length_for(units, length)
    given = None
    if file is not None:
        given = read_given_text(
            file, loaded, workspace, resolved, strict=strict, most=max(shown, searched), documents=True
        )
    texts = inspected_texts(runs, known, loaded, given, run, shown, searched)
    report(f"reading {len(texts.shown):,} characters of {texts.source}, {units:,} units")
    reading = inspection.read(predictor, loaded.encoding, texts.shown)
    found, ablations, notices = None, None, [*texts.notices, *_warnings(workspace, loaded, reading)]
    if searched and units and texts.choosing is not None and texts.held_out is not None:
        found = inspection.search(
            predictor,
            _untrained(loaded, registry, device),
            loaded.encoding,
            texts.choosing,
            texts.held_out,
            searched,
            report,
            asked,
            probe_units,
        )
        detectors = inspection.detectors(found)
        ablations = inspection.ablate(predictor, loaded.encoding, texts.held_out, detectors, ablate, report)
    elif searched and units:
        notices.append(
            f"too little text to search for units: {inspection.MIN_SEARCHED:,} characters are needed"
        )
    written = page(
        reading,
        loaded.encoding.labels,
        found,
        ablations,
        run=loaded.name,
        model=_title(loaded),
        source=texts.source,
        searched=texts.searched,
        notices=notices,
        command=_command(run if is_path(run) else loaded.name, file, length),
    )
    target = _target(workspace, loaded.name, output)
    write_text(target, written)
    artifact, trouble = _log(workspace, resolved, loaded.name, known, target)
    return Inspection(
        loaded.name,
        texts.source,
        target,
        artifact,
        reading,
        found,
        ablations,
        (*notices, *([trouble] if trouble else [])),
        given.fitted.skipped.total() if given is not None else 0,
    )


def _untrained(loaded: Loaded, registry: Registry, device: str) -> Sequence[Predictor]:
    """Untrained networks of the same architecture."""
    model = loaded.model
    architecture = registry.architecture(model.architecture)
    if isinstance(model, FittedModel):
        return []
    return [
        build_model(architecture, model.config, model.vocabulary, model.vocabulary_size, seed=seed).predictor(
            choose_device(device)
        )
        for seed in CONTROLS
    ]


def _command(run: str, file: str | Path | None, length: int | None) -> str:
    """The command that inspects the same text, without options of the page."""
    words = ["charpipe", "inspect", run, *([str(file)] if file is not None else [])]
    return shlex.join(words) + (f" --length {length}" if length is not None else "")


def _warnings(workspace: Workspace, loaded: Loaded, reading: inspection.Reading) -> list[str]:
    """A warning if the model scores the shown text worse than guessing."""
    tokens = reading.pieces[-1].last - reading.pieces[0].last
    loss = float(reading.bits[1:].sum()) * math.log(2) / max(1, tokens)
    warning = warn_about_text(workspace.runs, loaded.name, loaded.encoding.size, {"text/loss": loss})
    return [warning] if warning else []


def _title(loaded: Loaded) -> str:
    return loaded.model.title


def _target(workspace: Workspace, run: str, output: str | Path | None) -> Path:
    """The path of the page: `output` if given, else the run's folder, else (for a run from elsewhere) the current
    folder."""
    if output is not None:
        target = Path(output)
        if target.is_dir():
            target = target / f"{run}-inspection.html"
        if not target.parent.is_dir():
            raise UsageError(f"there is no folder {target.parent}; make it, or give another --output")
        return target
    folder = workspace.runs / run
    return folder / "inspection.html" if folder.is_dir() else Path(f"{run}-inspection.html")


def _log(
    workspace: Workspace, resolved: Resolved, name: str, run: Run | None, file: Path
) -> tuple[str | None, str | None]:
    """The page's path in MLflow, or the reason why it has none; an untracked run is not an error."""
    known = run.status.mlflow.get("run_id") if run is not None else None
    if not resolved.config.tracking.enabled or (run is not None and not known):
        return None, None
    try:
        location = locate(resolved.config.tracking, workspace.root / "mlflow")
        return attach(location, name, file, FOLDER, known), None
    except CharpipeError as error:
        return None, f"the page is not in MLflow: {error}"


__all__ = ["Inspection", "inspect"]
