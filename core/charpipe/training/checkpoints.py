"""Checkpoints: folders that are whole or not there. A model bundle, the optimiser's memory, and where the
run stood; the manifest with every file's digest is written last, and the folder gets its name when all is
on disk."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from charpipe.errors import RunError, StoreError
from charpipe.events import Listener, Notice
from charpipe.models import Model, save_model
from charpipe.models.bundle import read_card, read_json
from charpipe.models.bundle import tensors as tensors_of
from charpipe.models.safe import check_fits, read_tensors
from charpipe.store.atomic import publish_folder, write_json
from charpipe.store.manifest import describe, read_manifest
from charpipe.training.optimisers import memory
from charpipe.training.plan import EVALUATIONS, Plan
from charpipe.training.settings import FREE, TrainConfig

if TYPE_CHECKING:
    from charpipe.training.job import Job

SCHEMA = "charpipe.checkpoint/1"
HALF = ".saving-"
"""Before the name of a checkpoint that is being written or removed."""
KINDS: dict[str, type | tuple[type, ...]] = {
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
}


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint folder holds, checked and read."""

    weights: dict[str, Tensor]
    trained: dict[str, Tensor]
    """Those that training goes on from, where `weights` are an average of them; else none."""
    memory: dict[str, Tensor]
    carried: dict[str, Tensor]
    state: dict[str, Any]


@dataclass(frozen=True)
class Snapshot:
    """A copy of all that a checkpoint holds, which training on does not change: it can be written at any time."""

    model: Model
    weights: dict[str, Tensor]
    others: dict[str, Tensor]
    state: dict[str, Any]
    keep: int

    @property
    def step(self) -> int:
        """Updates made."""
        return int(self.state["step"])

    @property
    def best(self) -> bool:
        """Whether it scored best so far."""
        return self.state["best"] is not None and self.state["best"]["step"] == self.step

    def save(self, folder: Path) -> Path:
        """Write `folder/step-00001200` and drop those no longer kept. Raises RunError if the disk refuses.

        Later ones are damaged, or of a training that this one, begun again from an earlier one, replaces.
        """
        final = publish_checkpoint(folder, self.step, self._write)
        best = f"step-{int(self.state['best']['step']):08d}" if self.state["best"] else None
        found = list(_newest_first(folder))
        here = found.index(final)
        for path in found[:here] + found[here + self.keep :]:
            if path.name != best:
                with suppress(OSError):  # it stays, whole
                    _discard(path)
        return final

    def _write(self, folder: Path) -> None:
        save_model(self.model, folder, self.weights)
        save_file(self.others, folder / "optimizer.safetensors")
        write_json(folder / "state.json", self.state)


def take_snapshot(job: Job, seconds: float) -> Snapshot:
    """The job as it is now, after so many seconds of training."""
    network = job.model.network
    others = {f"memory/{name}": tensor for name, tensor in memory(job.optimizer, network).items()}
    others |= {f"carried/{name}": tensor.detach().clone().contiguous() for name, tensor in job.state.items()}
    if job.average is not None:
        others |= {f"trained/{name}": tensor.clone() for name, tensor in tensors_of(network).items()}
    weights = {name: tensor.clone() for name, tensor in tensors_of(job.shown).items()}
    return Snapshot(job.model, weights, others, _state(job, seconds), job.settings.keep_checkpoints)


def publish_checkpoint(folder: Path, step: int, write: Callable[[Path], None]) -> Path:
    """`folder/step-00001200`, filled by `write(temporary)` and whole or not there; the manifest comes last.

    Raises RunError if the disk refuses.
    """
    final = folder / f"step-{step:08d}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder, prefix=HALF))
        try:
            write(temporary)
            describe(temporary, SCHEMA, {"step": step}).write(temporary)
            if final.exists():  # damaged, or of a run that was resumed from before it
                _discard(final)
            publish_folder(temporary, final)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except (OSError, SafetensorError, StoreError) as error:
        raise RunError(
            f"the checkpoint of step {step} cannot be written to {folder}: {error}; earlier checkpoints "
            "are whole; make room there and give the same command again"
        ) from error
    return final


def _discard(checkpoint: Path) -> None:
    """Remove a checkpoint; where that is cut short, what is left of it no longer has the name of one."""
    aside = checkpoint.with_name(f"{HALF}{checkpoint.name}")
    shutil.rmtree(aside, ignore_errors=True)
    checkpoint.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)


def clear_halves(folder: Path) -> None:
    """Remove what a process that was killed left half written or half removed."""
    for path in folder.glob(f"{HALF}*"):
        shutil.rmtree(path, ignore_errors=True)


def _state(job: Job, seconds: float) -> dict[str, Any]:
    return {
        "step": job.step,
        "steps": job.steps,
        "plan": job.plan.to_json(),
        "seconds": seconds,
        "tokens": len(job.lanes.tokens),
        "offset": job.lanes.offset,
        "settings": job.settings.model_dump(mode="json"),
        "device": job.device.type,
        "precision": job.precision,
        "engine": job.engine,
        "recent": job.recent.tolist(),
        "look": job.look,
        "best": job.best,
        "metrics": dict(job.metrics),
        "scaler": job.scaler.state_dict() if job.scaler.is_enabled() else {},
    }


def plan_of(state: Mapping[str, Any]) -> Plan:
    """The plan in a checkpoint's state; earlier releases never revised one. Raises RunError where it is unusable."""
    steps = state["steps"]
    plan = Plan.from_json(state.get("plan", [[0, steps, 0.0, EVALUATIONS]]))
    if plan.steps != steps or plan.segments[-1].step > state["step"]:
        raise RunError("the recorded plan does not fit the checkpoint's steps; name another checkpoint")
    return plan


def _newest_first(folder: Path) -> Iterator[Path]:
    return iter(sorted((path for path in folder.glob("step-*") if path.is_dir()), reverse=True))


def last_checkpoint(folder: Path, tell: Listener | None = None) -> Path | None:
    """The newest whole checkpoint of a run, or None; `tell` hears of damaged ones that were passed over."""
    found = list(_newest_first(folder))
    for place, path in enumerate(found):
        wrong = damage(path)
        if wrong is None:
            return path
        if tell is not None:
            then = "using the one before" if place + 1 < len(found) else "none is whole: starting anew"
            tell(Notice(f"checkpoint {path.name} is damaged ({wrong}); {then}", level="warning"))
    return None


def best_checkpoint(folder: Path, tell: Listener | None = None) -> Path | None:
    """The checkpoint with the lowest validation loss so far, or the last where there was no validation."""
    last = last_checkpoint(folder, tell)
    return (best_until(last) or last) if last else None


def best_until(last: Path) -> Path | None:
    """The checkpoint that scored best up to the whole one `last`, or None where none did or it is damaged."""
    best = read_json(last / "state.json").get("best")
    if not isinstance(best, dict) or not isinstance(best.get("step"), int):
        return None
    path = last.with_name(f"step-{best['step']:08d}")
    return path if path == last or damage(path) is None else None


def damage(folder: Path) -> str | None:
    """What is wrong with a checkpoint, in words, or None if it is whole: every digest is compared."""
    try:
        manifest = read_manifest(folder)
    except StoreError as error:
        return str(error)
    if manifest.schema != SCHEMA:
        return f"it has schema {manifest.schema!r}"
    return manifest.check(folder, thorough=True)


def read_checkpoint(folder: Path, model: Model, settings: TrainConfig, tokens: int) -> Checkpoint:
    """A checkpoint to go on from. Raises RunError if it is damaged, or of another model or training."""
    if wrong := damage(folder):
        raise RunError(f"checkpoint {folder} is damaged: {wrong}; name an earlier one, or resume the run")
    state = {"look": 0, **read_json(folder / "state.json")}  # which earlier releases did not keep
    for key, kind in KINDS.items():
        if not isinstance(state.get(key), kind):
            raise RunError(f"checkpoint {folder} has no usable {key!r} in state.json")
    if [type(value) for value in state["recent"]] != [float, float] or not 0 <= state["step"] <= state[
        "steps"
    ]:
        raise RunError(f"checkpoint {folder} has no usable numbers in state.json")
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
        _under("trained/", others),
        _under("memory/", others),
        _under("carried/", others),
        state,
    )


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
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
    """What differs; a setting that charpipe had not yet when the checkpoint was written had its default's effect."""
    new = settings.model_dump(mode="json")
    old = {
        **type(settings).model_construct().model_dump(mode="json", include=new.keys() - saved.keys()),
        **saved,
    }
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            yield f"{key} {old.get(key)} -> {new.get(key)}"
