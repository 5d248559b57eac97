"""Warm start: a new run starts from another run's weights and optimizer state, and continues in the order of its data.

The learning rate runs through its whole schedule again, warm-up included (a warm restart: Loshchilov, Hutter 2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from charpipe.config.settings.training import TrainConfig
from charpipe.errors import RunError
from charpipe.models import Model
from charpipe.models.card import read_card, read_json
from charpipe.models.growth import grow, grow_memory
from charpipe.models.safe import read_tensors
from charpipe.plugins.contracts import END_TOKEN
from charpipe.training.checkpoints import damage

OPTIMIZER_SETTINGS = ("optimizer", "betas", "decay", "momentum")
"""Settings that must be equal for an optimizer's state to keep its meaning."""


@dataclass(frozen=True)
class WarmStartCheckpoint:
    """The checkpoint to start from: its folder, and the steps of data that its run and those before it have read."""

    folder: Path
    offset: int


def load_warm_start(start: WarmStartCheckpoint, model: Model, settings: TrainConfig) -> dict[str, Tensor]:
    """Load the checkpoint's weights into `model` and return its optimizer state, empty where the settings differ.

    Raises RunError where the checkpoint is damaged, of another model, or of a vocabulary that this one does not extend.
    """
    if wrong := damage(start.folder):
        raise RunError(
            f"the checkpoint to start from, {start.folder}, is damaged: {wrong}; nothing was loaded"
        )
    card = read_card(start.folder)
    if card["architecture"] != model.architecture:
        raise RunError(
            f"the model to start from is a {card['architecture']}, not a {model.architecture}; nothing was loaded"
        )
    before, after = card["vocabulary_size"], model.vocabulary_size
    check_extends(read_json(start.folder / "vocabulary.json"), dict(model.vocabulary), before, after)
    grow(model.network, read_tensors(start.folder / "model.safetensors"), before, after)
    if not _same_optimizer(start.folder, settings):
        return {}
    tensors = read_tensors(start.folder / "optimizer.safetensors")
    state = {name[7:]: tensor for name, tensor in tensors.items() if name.startswith("memory/")}
    return grow_memory(state, model.network)


def check_extends(parent: dict[str, Any], child: dict[str, Any], before: int, after: int) -> None:
    """Raise RunError unless the vocabularies are equal, or the child has the parent's characters and more after them.
    One of them may know ends of documents, and the other not.

    `before` and `after` are the numbers of tokens of parent and child.
    """
    apart = ("characters", END_TOKEN)
    rest = [{key: value for key, value in one.items() if key not in apart} for one in (parent, child)]
    old, new = parent.get("characters"), child.get("characters")
    grown = (
        isinstance(old, str) and isinstance(new, str) and new.startswith(old) and not parent.get("nibbles")
    )
    ends = {one[END_TOKEN] for one in (parent, child) if END_TOKEN in one}
    fits = (old == new and before == after) or (grown and before < after)
    if fits and rest[0] == rest[1] and len(ends) < 2:
        return
    raise RunError(
        f"the model to start from has another vocabulary ({before} tokens), which this one ({after}) does not "
        "extend; nothing was loaded; leave --from out"
    )


def _same_optimizer(folder: Path, settings: TrainConfig) -> bool:
    """Whether the checkpoint has an optimizer state that these settings can continue with."""
    if not (folder / "optimizer.safetensors").is_file() or not (folder / "state.json").is_file():
        return False
    saved = read_json(folder / "state.json").get("settings")
    new = settings.model_dump(mode="json")
    return (
        isinstance(saved, dict)
        and all(saved.get(key) == new[key] for key in OPTIMIZER_SETTINGS)
        and _has_momentum(saved) == _has_momentum(new)
    )


def _has_momentum(settings: dict[str, Any]) -> bool:
    """Whether SGD or RMSProp keeps a momentum buffer. Adam always has one."""
    one_cycle = settings.get("schedule") == "one-cycle"
    return settings["optimizer"] in ("sgd", "rmsprop") and (one_cycle or settings["momentum"] > 0)
