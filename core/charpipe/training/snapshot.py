"""Saving and restoring a training's state, side by side: what `take_snapshot` saves, `restore` loads.

file                    content
model.safetensors       the evaluated network's weights: averaged ones, if there are any
optimizer.safetensors   memory/PARAMETER/KEY   the optimizer's state
                        carried/NAME           the recurrent state
                        trained/PARAMETER      with averaged weights: those that training continues from
state.json              everything else: step, plan, settings, scores
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from charpipe.errors import RunError
from charpipe.models import Model, save_model
from charpipe.models import State as RecurrentState
from charpipe.models.bundle import tensors
from charpipe.store.atomic import write_json
from charpipe.training.checkpoints import (
    Checkpoint,
    checkpoint_folder,
    newest_first,
    plan_of,
    publish_checkpoint,
    remove_checkpoint,
)
from charpipe.training.measurements import Measurements
from charpipe.training.optimizers import load_optimizer_state, optimizer_state
from charpipe.training.setup import Setup
from charpipe.training.state import State


@dataclass(frozen=True)
class Snapshot:
    """A copy of a training's state in memory. It can be written while training continues."""

    model: Model
    weights: dict[str, Tensor]
    others: dict[str, Tensor]
    """The content of `optimizer.safetensors`."""
    state: dict[str, Any]
    """The content of `state.json`."""
    keep: int
    """How many of the latest checkpoints to keep."""

    @property
    def step(self) -> int:
        """Updates made."""
        return int(self.state["step"])

    @property
    def best(self) -> bool:
        """Whether this is the best evaluation so far."""
        return self.state["best"] is not None and self.state["best"]["step"] == self.step

    def save(self, folder: Path) -> Path:
        """Write `folder/step-00001200` and remove the checkpoints that are no longer kept. Raises RunError if the disk
        refuses.

        Of later steps than this one there are only damaged checkpoints, or those of a training that this one, resumed
        from an earlier checkpoint, replaces.
        """
        written = publish_checkpoint(folder, self.step, self._write)
        best = checkpoint_folder(folder, int(self.state["best"]["step"])) if self.state["best"] else None
        found = newest_first(folder)
        index = found.index(written)
        for path in found[:index] + found[index + self.keep :]:
            if path != best:
                with suppress(OSError):  # it stays, whole
                    remove_checkpoint(path)
        return written

    def _write(self, folder: Path) -> None:
        save_model(self.model, folder, self.weights)
        save_file(self.others, folder / "optimizer.safetensors")
        write_json(folder / "state.json", self.state)


def take_snapshot(setup: Setup, state: State, seconds: float) -> Snapshot:
    """Copy the state after `seconds` of training in all."""
    others = {f"memory/{name}": t for name, t in optimizer_state(state.optimizer, state.network).items()}
    others |= {f"carried/{name}": t.detach().clone().contiguous() for name, t in state.recurrent.items()}
    if state.ema is not None:
        others |= {f"trained/{name}": t.clone() for name, t in tensors(state.network).items()}
    weights = {name: t.clone() for name, t in tensors(state.evaluated_network).items()}
    saved = {
        "step": state.step,
        "steps": state.steps,
        "plan": state.plan.to_json(),
        "seconds": seconds,
        "tokens": len(setup.batches.tokens),
        "offset": setup.batches.offset,
        "settings": setup.settings.model_dump(mode="json"),
        "device": setup.device.type,
        "precision": setup.precision,
        "engine": setup.engine,
        "recent": state.loss_sum.tolist(),
        "measurements": state.measurements.values(),
        "look": state.validation_tokens,
        "best": state.best,
        "metrics": dict(state.metrics),
        "scaler": state.scaler.state_dict() if state.scaler.is_enabled() else {},
    }
    return Snapshot(setup.model, weights, others, saved, setup.settings.keep_checkpoints)


def restore(state: State, checkpoint: Checkpoint, device: torch.device) -> None:
    """Load the checkpoint into a new state. Raises RunError where its tensors do not fit."""
    saved = checkpoint.state
    if state.ema is not None:
        state.ema.load(checkpoint.weights, checkpoint.trained)
    else:
        state.network.load_state_dict(checkpoint.weights, strict=False)
    load_optimizer_state(state.optimizer, state.network, checkpoint.optimizer)
    if _shapes(checkpoint.recurrent) != _shapes(state.recurrent):
        raise RunError(
            "the recurrent state in the checkpoint does not fit this model and batch size; name an earlier checkpoint"
        )
    state.recurrent = {name: values.to(device) for name, values in checkpoint.recurrent.items()}
    state.step, state.seconds, state.plan = saved["step"], saved["seconds"], plan_of(saved)
    state.loss_sum = torch.tensor(saved["recent"], device=device)
    state.measurements = Measurements(saved["measurements"])
    state.validation_tokens = saved["look"]
    state.best, state.metrics = saved["best"], saved["metrics"]
    if state.scaler.is_enabled() and saved["scaler"]:
        state.scaler.load_state_dict(saved["scaler"])


def _shapes(state: RecurrentState) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (values.shape, values.dtype) for name, values in sorted(state.items())}
