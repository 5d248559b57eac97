"""`charpipe.export`: a trained model for others, as a folder, a page or an ONNX graph."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from charpipe.api.pipelines import open_runs
from charpipe.config import load_config
from charpipe.config.load import Resolved
from charpipe.config.plugin_folders import open_plugins
from charpipe.errors import StoreError, UsageError, near_match
from charpipe.exports.facts import Facts, facts_of, facts_of_folder
from charpipe.exports.folder import write_folder
from charpipe.exports.hub import check_hub, push
from charpipe.exports.network import network_of
from charpipe.exports.targets import target
from charpipe.models.folders import is_model_folder
from charpipe.models.loaded import Loaded
from charpipe.runs import Run
from charpipe.runs.library import RunLibrary
from charpipe.runs.paths import is_path
from charpipe.store.atomic import write_bytes
from charpipe.tracking.models import find_model

Form = Literal["folder", "html", "onnx"]


@dataclass(frozen=True)
class Exported:
    """What was written: its path, the form, the facts of the model, and notices for the user.

    `address` is the repository on the Hub, if it was pushed; `cost` what the page's 8-bit weights cost in bits per
    character.
    """

    path: Path
    form: str
    facts: Facts
    address: str | None = None
    cost: float | None = None


def export(
    run: str = "last",
    to: str = "folder",
    out: str | Path | None = None,
    *,
    which: str = "best",
    opset: int | None = None,
    push: str | None = None,
    force: bool = False,
) -> Path:
    """Export the model of a run (or of an exported folder) and return the path of what was written.

    `to` is "folder" (safetensors, JSON and a model card, which `charpipe.load` reads), "html" (a page that writes by
    itself) or "onnx" (one step as an ONNX graph, of `opset`). `out` is by default the run's name in the working
    directory; what exists is replaced only with `force`. `push` uploads a folder to that repository of the Hugging
    Face Hub. Raises CharpipeError.
    """
    return write(run, to, out, load_config(), which=which, opset=opset, repository=push, force=force).path


def write(
    run: str,
    to: str,
    out: str | Path | None,
    resolved: Resolved,
    *,
    which: str = "best",
    opset: int | None = None,
    repository: str | None = None,
    force: bool = False,
) -> Exported:
    """Like `export`; returns more of what was done."""
    _check(to, which, opset, repository)
    runs = open_runs(resolved)
    loaded = find_model(run, runs.workspace, open_plugins(resolved), resolved.config.tracking, which, runs)
    facts = _facts(run, loaded, runs, resolved, which)
    place = target(out, facts.run, to, force=force)
    if to == "folder":
        write_folder(loaded, facts, place)
        address = push(place, repository, facts) if repository is not None else None
        return Exported(place, to, facts, address)
    if to == "html":
        return _page(loaded, facts, place)
    return _onnx(loaded, facts, place, opset)


def _check(to: str, which: str, opset: int | None, repository: str | None) -> None:
    """Raise UsageError for what cannot be asked for, before anything is loaded."""
    if to not in get_args(Form):
        raise UsageError(f"there is no form {to!r}{near_match(to, get_args(Form))}")
    if which not in ("best", "last"):
        raise UsageError(f"there is no {which!r} checkpoint; give best or last")
    if opset is not None and to != "onnx":
        raise UsageError("an opset is ONNX's; leave it out, or export to onnx")
    if repository is not None:
        if to != "folder":
            raise UsageError("only a folder can be pushed to the Hub; export to folder")
        check_hub(repository)


def _facts(wanted: str, loaded: Loaded, runs: RunLibrary, resolved: Resolved, which: str) -> Facts:
    run = Run(runs.workspace.runs / loaded.name)
    if not is_path(wanted) and (run.folder / "run.json").is_file():
        return facts_of(loaded, run, resolved, which)
    folder = Path(wanted).expanduser()
    held = facts_of_folder(folder, loaded) if is_model_folder(folder) else None
    return held or facts_of(loaded, None, resolved)


def _page(loaded: Loaded, facts: Facts, place: Path) -> Exported:
    from charpipe.exports.page import writing_page  # with what samples and scores

    page = writing_page(loaded, facts)
    _write(place, page.html.encode("utf-8"))
    return Exported(place, "html", facts, cost=page.cost)


def _write(place: Path, content: bytes) -> None:
    try:
        write_bytes(place, content)
    except StoreError as error:
        raise UsageError(f"{place} cannot be written ({error.__cause__}); give another --out") from error


def _onnx(loaded: Loaded, facts: Facts, place: Path, opset: int | None) -> Exported:
    from charpipe.exports.onnx_graph import DEFAULT, step_model  # imports onnx

    modules = network_of(loaded, "onnx")
    model = step_model(modules, loaded.model.vocabulary, facts, DEFAULT if opset is None else opset)
    _write(place, model.SerializeToString())
    return Exported(place, "onnx", facts)
