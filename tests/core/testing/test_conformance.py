"""Models that break the contract, one rule each: the kit names the rule."""

import pytest
import torch
from torch import nn

from charpipe.errors import PluginError
from charpipe.models import LanguageModel, TorchRecurrence
from charpipe.plugin import Architecture
from charpipe.testing import broken_rules, check_architecture


class Good(TorchRecurrence):
    def __init__(self, size: int, config) -> None:
        super().__init__(nn.GRU(size, config.hidden_size), ("hidden",))


class Peeks(Good):
    def forward(self, inputs, state):
        return super().forward(inputs.flip(0).cumsum(0).flip(0), state)


class Forgets(Good):
    def forward(self, inputs, state):
        return super().forward(inputs, {name: torch.zeros_like(value) for name, value in state.items()})


class Mixes(Good):
    def forward(self, inputs, state):
        return super().forward(inputs + inputs.mean(1, keepdim=True), state)


class Wide(Good):
    def forward(self, inputs, state):
        outputs, state = super().forward(inputs, state)
        return outputs.repeat(2, 1, 1), state


class NotANumber(Good):
    def forward(self, inputs, state):
        outputs, state = super().forward(inputs, state)
        return outputs / 0 * 0, state


class Overwrites(Good):
    def forward(self, inputs, state):
        outputs, after = super().forward(inputs, state)
        state["hidden"] += 1
        return outputs, after


class Restless(Good):
    def forward(self, inputs, state):
        outputs, after = super().forward(inputs, state)
        return outputs + torch.rand(()), after


def architecture(kind: type[Good]) -> Architecture:
    def build(config, vocabulary_size):
        return LanguageModel(config, vocabulary_size, lambda size: kind(size, config))

    return Architecture("mine", "for the test", build=build)


def test_a_sound_architecture_passes():
    check_architecture(architecture(Good))


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        (Peeks, "no_peeking"),
        (Forgets, "state_carried"),
        (Mixes, "streams_independent"),
        (Wide, "shapes"),
        (NotANumber, "finite"),
        (Overwrites, "arguments_kept"),
        (Restless, "deterministic"),
    ],
)
def test_a_broken_rule_is_named(kind, rule):
    assert rule in [broken.rule for broken in broken_rules(architecture(kind))]
    with pytest.raises(PluginError, match=rule):
        check_architecture(architecture(kind))


def test_what_cannot_be_built_is_said():
    def build(config, vocabulary_size):
        raise ZeroDivisionError("oh")

    (broken,) = broken_rules(Architecture("mine", "", build=build))
    assert broken.rule == "build"
    assert "oh" in broken.seen
