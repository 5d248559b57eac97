"""A model on disk: `model.safetensors`, `config.json`, `vocabulary.json`.
Loading one never executes code from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import Tensor, nn

from charpipe.errors import PluginError, RunError, near_match
from charpipe.models.card import SCHEMA, read_card, read_json
from charpipe.models.fitted import FittedModel, restore
from charpipe.models.model import Model, build_network
from charpipe.models.safe import check_fits, read_tensors
from charpipe.plugin import Architecture, ModelConfig
from charpipe.store.atomic import write_json


def save_model(model: Model | FittedModel, folder: Path, weights: dict[str, Tensor] | None = None) -> None:
    """Write the three files into the existing `folder`; `weights` are the tensors to save, by default the current."""
    if weights is None:
        weights = model.fitted.tensors() if isinstance(model, FittedModel) else tensors(model.network)
    save_file(weights, folder / "model.safetensors")
    config = {
        "schema": SCHEMA,
        "architecture": model.architecture,
        "config": model.config.model_dump(mode="json"),
        "vocabulary_size": model.vocabulary_size,
        "plugin": dict(model.plugin),
    }
    write_json(folder / "config.json", config)
    write_json(folder / "vocabulary.json", dict(model.vocabulary))


def tensors(network: nn.Module) -> dict[str, Tensor]:
    """The network's tensors by name; of tensors with shared storage only the first."""
    kept: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in network.state_dict().items():
        if tensor.numel() == 0 or tensor.data_ptr() not in seen or tensor.is_meta:
            kept[name] = tensor.detach().contiguous()
            seen.add(tensor.data_ptr())
    return kept


def load_model(folder: Path, architectures: Mapping[str, Architecture]) -> Model | FittedModel:
    """The model in `folder`, on the CPU.

    The file's names, shapes and types are compared with the architecture's before any large allocation; tensors
    of a count-based model are memory-mapped, and its architecture checks them.
    Raises RunError if the folder holds no such model or a damaged one, PluginError if its
    architecture is missing.
    """
    card = read_card(folder)
    architecture = architectures.get(card["architecture"])
    if architecture is None:
        raise PluginError(
            f"{folder} needs the architecture {card['architecture']!r}, which no plugin offers"
            f"{near_match(card['architecture'], architectures)}"
        )
    try:
        config = architecture.config.model_validate(card["config"])
    except ValidationError as error:
        raise RunError(f"{folder / 'config.json'} does not fit {architecture.name!r}: {error}") from error
    size, vocabulary = card["vocabulary_size"], read_json(folder / "vocabulary.json")
    about = (architecture.name, config, vocabulary, size, card["plugin"])
    path = folder / "model.safetensors"
    if architecture.counted:
        return FittedModel(restore(architecture, config, size, read_tensors(path)), *about)
    return Model(_read_network(path, architecture, config, size), *about)


def _read_network(path: Path, architecture: Architecture, config: ModelConfig, size: int) -> nn.Module:
    with torch.device("meta"):
        sketch = build_network(architecture, config, size)
    check_fits(path, _unshared(sketch))
    with torch.random.fork_rng(devices=[]):
        network = build_network(architecture, config, size)
    # Names were checked above; a missing tensor shares its storage with one that is there.
    network.load_state_dict(read_tensors(path), strict=False)
    return network


def _unshared(sketch: nn.Module) -> dict[str, Tensor]:
    """Like `tensors`, for a network without storage: shared parameters are one object under two names."""
    names = {id(tensor): name for name, tensor in reversed(list(sketch.state_dict(keep_vars=True).items()))}
    return {
        name: tensor
        for name, tensor in sketch.state_dict(keep_vars=True).items()
        if names[id(tensor)] == name
    }
