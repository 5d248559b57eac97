"""Models for the tests of exports: networks of any architecture with random weights, and what is told of them."""

from __future__ import annotations

from typing import Any

import torch

from charpipe.exports.facts import Facts
from charpipe.models import build_model
from charpipe.models.loaded import Loaded
from charpipe.plugins.registry import Registry
from letters import Letters

ARCHITECTURES = Registry().all("architecture")
NEURAL = sorted(name for name, one in ARCHITECTURES.items() if not one.counted)
FACTS = Facts(run="a run", title="a cell 1x8", parameters=3, vocabulary_size=7, charpipe="0")


def loaded_of(architecture: str, encoding: Any = None, *, std: float = 0.4, **config: Any) -> Loaded:
    """A model with weights from a normal distribution."""
    encoding = encoding or Letters()
    chosen = ARCHITECTURES[architecture]
    settings = chosen.config.model_validate({"hidden_size": 12, "dropout": 0.0, **config})
    model = build_model(chosen, settings, {"tokenizer": "letters"}, encoding.size)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for values in model.network.parameters():
            values.normal_(0, std, generator=generator)
    return Loaded("a run", model, encoding)
