"""Starting from what another run learnt: its weights, its optimiser's memory, and another place in the data.

The learning rate runs through its whole schedule again, warm-up included (a warm restart: Loshchilov, Hutter 2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from charpipe.errors import RunError
from charpipe.models import Model
from charpipe.models.bundle import read_card, read_json
from charpipe.models.growth import grow, grow_memory
from charpipe.models.safe import read_tensors
from charpipe.training.checkpoints import damage
from charpipe.training.settings import TrainConfig

SAME = ("optimizer", "betas", "decay", "momentum")
"""Settings that decide what an optimiser's memory means."""


@dataclass(frozen=True)
class Start:
    """A checkpoint to start from: its folder, and the steps of data that were read before, in all."""

    folder: Path
    offset: int


def begin_from(start: Start, model: Model, settings: TrainConfig) -> dict[str, Tensor]:
    """Put the checkpoint's weights into `model`, and return the optimiser's memory, empty where it does not fit the
    settings. Raises RunError where the model is another one or its vocabulary no extension of that one's."""
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
    if not _remembers_alike(start.folder, settings):
        return {}
    others = read_tensors(start.folder / "optimizer.safetensors")
    memory = {name[7:]: tensor for name, tensor in others.items() if name.startswith("memory/")}
    return grow_memory(memory, model.network)


def check_extends(parent: dict[str, Any], child: dict[str, Any], before: int, after: int) -> None:
    """Raise RunError unless the first `before` of the child's tokens are the parent's: equal, or the same characters
    with others after them."""
    rest = [{key: value for key, value in one.items() if key != "characters"} for one in (parent, child)]
    old, new = parent.get("characters"), child.get("characters")
    grown = (
        isinstance(old, str) and isinstance(new, str) and new.startswith(old) and not parent.get("nibbles")
    )
    if parent == child or (grown and rest[0] == rest[1] and before < after):
        return
    raise RunError(
        f"the model to start from speaks another vocabulary ({before} tokens), which this one ({after}) does not "
        "extend; start afresh"
    )


def _remembers_alike(folder: Path, settings: TrainConfig) -> bool:
    if not (folder / "optimizer.safetensors").is_file() or not (folder / "state.json").is_file():
        return False
    saved = read_json(folder / "state.json").get("settings")
    mine = settings.model_dump(mode="json")
    return (
        isinstance(saved, dict)
        and all(saved.get(key) == mine[key] for key in SAME)
        and _has_momentum(saved) == _has_momentum(mine)
    )


def _has_momentum(settings: dict[str, Any]) -> bool:
    """Whether there is, apart from Adam's, which always has."""
    one_cycle = settings.get("schedule") == "one-cycle"
    return settings["optimizer"] in ("sgd", "rmsprop") and (one_cycle or settings["momentum"] > 0)


def steps_read(folder: Path) -> int:
    """Steps of data that the model in this checkpoint and those before it have read; 0 where nobody wrote it down."""
    path = folder / "state.json"
    if not path.is_file():
        return 0
    state = read_json(path)
    found = [state.get("offset", 0), state.get("step", 0)]
    return sum(value for value in found if isinstance(value, int) and value >= 0)
