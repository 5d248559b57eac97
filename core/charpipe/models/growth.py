"""Warm start of a neural model with a grown vocabulary: old characters keep their trained weights.

Where a tensor of the new network is larger in the vocabulary's dimension, the old values fill its beginning. New
characters keep their own initialization; in the softmax head each starts as the mean of the old characters,
less `log(RARE)`. A mean of logits never exceeds their log-sum-exp less log V, so that in every context k new characters
together get at most k / (RARE * V) of the probability, and the old ones keep their ranks and, but for that, their odds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from charpipe.errors import RunError
from charpipe.models.bundle import tensors
from charpipe.models.embedding import embedding_width
from charpipe.plugin import ArchitectureConfig, ModelConfig

RARE = 1000.0


def fixed_width(config: ModelConfig, parent: ModelConfig, before: int, after: int) -> ModelConfig:
    """The settings of a model that starts from `parent`: if the number of characters, `before` and `after`, would
    replace one-hot input by an embedding, the input stays as it was."""
    if not isinstance(config, ArchitectureConfig) or not isinstance(parent, ArchitectureConfig):
        return config
    width = embedding_width(parent, before)
    if config.embedding_size is not None or embedding_width(config, after) == width:
        return config
    return config.model_copy(update={"embedding_size": width or 0})


@torch.no_grad()
def grow(network: nn.Module, learnt: Mapping[str, Tensor], before: int, after: int) -> None:
    """Copy into `network`, new and for `after` tokens, the weights of one of the same kind with `before` tokens.

    Raises RunError if the two differ in anything else.
    """
    heads = _heads(network, after) if after > before else {}
    found, mine = tensors(network), network.state_dict()
    if learnt.keys() != found.keys():
        odd = sorted(learnt.keys() ^ found.keys())[0]
        raise RunError(f"the model to start from is built otherwise: {odd!r} is only in one of the two")
    for name, old in learnt.items():
        if not _fits(old, mine[name], before, after):
            raise RunError(
                f"the model to start from has another size: {name} is {list(old.shape)} there and "
                f"{list(mine[name].shape)} here"
            )
        if name in heads and mine[name].shape != old.shape:
            mine[name][before:] = old.mean(0) - (math.log(RARE) if old.ndim == 1 else 0.0)
        _leading(mine[name], old).copy_(old)


def grow_memory(memory: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """The optimizer state for the grown network: empty for new characters."""
    shapes = {name: parameter.shape for name, parameter in network.named_parameters()}
    grown = {}
    for name, old in memory.items():
        shape = shapes.get(name.rpartition("/")[0])
        if shape is None or old.ndim == 0 or old.shape == shape:
            grown[name] = old
        elif old.ndim == len(shape) and all(a <= b for a, b in zip(old.shape, shape, strict=True)):
            grown[name] = old.new_zeros(shape)
            _leading(grown[name], old).copy_(old)
        else:
            raise RunError(f"the optimiser's memory of {name!r} does not fit the model")
    return grown


def _fits(old: Tensor, mine: Tensor, before: int, after: int) -> bool:
    if old.ndim != mine.ndim or old.dtype != mine.dtype:
        return False
    pairs = zip(old.shape, mine.shape, strict=True)
    return all(was == now or (was, now) == (before, after) for was, now in pairs)


def _leading(mine: Tensor, old: Tensor) -> Tensor:
    return mine[tuple(slice(0, size) for size in old.shape)]


def _heads(network: nn.Module, size: int) -> set[str]:
    """The names of the weights and biases of the softmax head, which scores each of `size` tokens."""
    modules = [module for module in network.modules() if isinstance(module, nn.Linear)]
    ids = {id(p) for module in modules if module.out_features == size for p in module.parameters()}
    return {name for name, p in network.named_parameters(remove_duplicate=False) if id(p) in ids}
