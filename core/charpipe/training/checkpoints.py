"""Checkpoints on disk: folders `step-00001200` that are complete or not there.

A checkpoint holds a model bundle, the optimizer's state and the training's (`snapshot.py` lists the files). The
manifest with every file's digest is written last, and the folder gets its name when all of it is on disk.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from safetensors import SafetensorError

from charpipe.config.settings.training import FREE, TrainConfig
from charpipe.errors import RunError, StoreError
from charpipe.events import Listener, Notice
from charpipe.models.card import read_card, read_json
from charpipe.store.atomic import publish_folder
from charpipe.store.manifest import describe, read_manifest
from charpipe.training.plan import EVALUATIONS, Plan

if TYPE_CHECKING:
    from torch import Tensor

    from charpipe.models import Model

SCHEMA = "charpipe.checkpoint/1"
INCOMPLETE = ".saving-"
"""Prefix of the folder of a checkpoint that is being written or removed."""
TYPES: dict[str, type | tuple[type, ...]] = {
    "step": int,
    "steps": int,
    "seconds": (int, float),
    "tokens": int,
    "settings": dict,
    "device": str,
    "precision": str,
    "recent": list,
    "metrics": dict,
    "scaler": dict,
    "look": int,
    "measurements": dict,
}
NEWER: dict[str, Any] = {"look": 0, "measurements": {}}
"""Entries that release 0.1.0 did not have, with what they mean there."""


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint folder, checked: tensors by name and `state.json`."""

    weights: dict[str, Tensor]
    trained: dict[str, Tensor]
    """The weights that training continues from, where `weights` are their average; otherwise empty."""
    optimizer: dict[str, Tensor]
    recurrent: dict[str, Tensor]
    state: dict[str, Any]


def publish_checkpoint(folder: Path, step: int, write: Callable[[Path], None]) -> Path:
    """Publish `folder/step-00001200`: `write(temporary)` fills a temporary folder, which is renamed once complete.

    Raises RunError if the disk refuses.
    """
    final = checkpoint_folder(folder, step)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder, prefix=INCOMPLETE))
        try:
            write(temporary)
            describe(temporary, SCHEMA, {"step": step}).write(temporary)
            if final.exists():  # damaged, or of a run that was resumed from before it
                remove_checkpoint(final)
            publish_folder(temporary, final)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except (OSError, SafetensorError, StoreError) as error:
        raise RunError(
            f"the checkpoint of step {step} cannot be written to {folder}: {error}; earlier checkpoints "
            "are intact; make room there and give the same command again"
        ) from error
    return final


def remove_checkpoint(checkpoint: Path) -> None:
    """Remove a checkpoint. It is renamed first, so that an interrupted removal leaves no damaged checkpoint."""
    aside = checkpoint.with_name(f"{INCOMPLETE}{checkpoint.name}")
    shutil.rmtree(aside, ignore_errors=True)
    checkpoint.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)


def remove_incomplete(folder: Path) -> None:
    """Remove the incomplete folders that a killed process left."""
    for path in folder.glob(f"{INCOMPLETE}*"):
        shutil.rmtree(path, ignore_errors=True)


def plan_of(state: Mapping[str, Any]) -> Plan:
    """The plan in a checkpoint's `state.json`. Release 0.1.0 kept only `steps`. Raises RunError where it is invalid."""
    steps = state["steps"]
    plan = Plan.from_json(state.get("plan", [[0, steps, 0.0, EVALUATIONS]]))
    if plan.steps != steps or plan.segments[-1].step > state["step"]:
        raise RunError("the recorded plan does not fit the checkpoint's steps; name another checkpoint")
    return plan


def checkpoint_folder(folder: Path, step: int) -> Path:
    """`folder/step-00001200`."""
    return folder / f"step-{step:08d}"


def newest_first(folder: Path) -> list[Path]:
    """All checkpoint folders, the latest step first."""
    return sorted((path for path in folder.glob("step-*") if path.is_dir()), reverse=True)


def last_checkpoint(folder: Path, notify: Listener | None = None) -> Path | None:
    """The newest complete checkpoint of a run, or None. `notify` gets a Notice for each damaged one that is skipped."""
    found = newest_first(folder)
    for index, path in enumerate(found):
        wrong = damage(path)
        if wrong is None:
            return path
        if notify is not None:
            then = (
                "using the previous one"
                if index + 1 < len(found)
                else "none is intact: training starts from step 0"
            )
            notify(Notice(f"checkpoint {path.name} is damaged ({wrong}); {then}", level="warning"))
    return None


def best_checkpoint(folder: Path, notify: Listener | None = None) -> Path | None:
    """The checkpoint with the lowest validation loss so far, or the last one where nothing was validated."""
    last = last_checkpoint(folder, notify)
    return (best_until(last) or last) if last else None


def best_until(last: Path) -> Path | None:
    """The best checkpoint up to the complete one `last`; None where nothing was validated or the best is damaged."""
    best = read_json(last / "state.json").get("best")
    if not isinstance(best, dict) or not isinstance(best.get("step"), int):
        return None
    path = checkpoint_folder(last.parent, best["step"])
    return path if path == last or damage(path) is None else None


def damage(folder: Path) -> str | None:
    """What is wrong with a checkpoint, in words; None if every file has the digest that the manifest states."""
    try:
        manifest = read_manifest(folder)
    except StoreError as error:
        return str(error)
    if manifest.schema != SCHEMA:
        return f"it has schema {manifest.schema!r}"
    return manifest.check(folder, thorough=True)


def read_checkpoint(folder: Path, model: Model, settings: TrainConfig, tokens: int) -> Checkpoint:
    """Read and check a checkpoint to resume. Raises RunError if it is damaged, or of another model or training."""
    from charpipe.models.bundle import tensors as tensors_of  # torch: `damage` and the like need none
    from charpipe.models.safe import check_fits, read_tensors

    if wrong := damage(folder):
        raise RunError(f"checkpoint {folder} is damaged: {wrong}; name an earlier one, or resume the run")
    state = {**NEWER, **read_json(folder / "state.json")}
    for key, types in TYPES.items():
        if not isinstance(state.get(key), types):
            raise RunError(f"checkpoint {folder} has no usable {key!r} in state.json")
    if [type(value) for value in state["recent"]] != [float, float] or not 0 <= state["step"] <= state[
        "steps"
    ]:
        raise RunError(f"checkpoint {folder} has no usable numbers in state.json")
    if not all(map(_is_list_of_floats, state["measurements"].values())):
        raise RunError(f"checkpoint {folder} has no usable 'measurements' in state.json")
    differences = list(_differences(folder, state, model, settings, tokens))
    if differences:
        raise RunError(
            f"checkpoint {folder.name} belongs to another training: {'; '.join(differences)}; it was left as it "
            "is; use its settings, or start a new run"
        )
    check_fits(folder / "model.safetensors", tensors_of(model.network))
    others = read_tensors(folder / "optimizer.safetensors")
    return Checkpoint(
        read_tensors(folder / "model.safetensors"),
        _with_prefix("trained/", others),
        _with_prefix("memory/", others),
        _with_prefix("carried/", others),
        state,
    )


def _is_list_of_floats(value: Any) -> bool:
    return isinstance(value, list) and all(type(number) is float for number in value)


def _with_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _differences(
    folder: Path, state: dict[str, Any], model: Model, settings: TrainConfig, tokens: int
) -> Iterator[str]:
    card = read_card(folder)
    if card["architecture"] != model.architecture:
        yield f"architecture {card['architecture']} -> {model.architecture}"
    else:
        yield from _changes(card["config"], model.config)
    if read_json(folder / "vocabulary.json") != dict(model.vocabulary):
        yield "another vocabulary"
    if state["tokens"] != tokens:
        yield f"{state['tokens']:,} training tokens -> {tokens:,}"
    yield from (change for change in _changes(state["settings"], settings) if change.split()[0] not in FREE)


def _changes(saved: dict[str, Any], settings: BaseModel) -> Iterator[str]:
    """What differs, `KEY OLD -> NEW`. A setting that is newer than the checkpoint counts as its default there."""
    new = settings.model_dump(mode="json")
    old = {
        **type(settings).model_construct().model_dump(mode="json", include=new.keys() - saved.keys()),
        **saved,
    }
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            yield f"{key} {old.get(key)} -> {new.get(key)}"
