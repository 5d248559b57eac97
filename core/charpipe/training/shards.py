"""The shards of a batch: equal parts of its streams, whose gradients are computed separately and summed.

G: `train.shards`; B: streams of the batch. Shard g has the B / G streams from g * B / G on, with a recurrent state of
its own. The sum of the G gradients does not depend on which worker computes which of them (`tree_sum.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor, nn

from charpipe.errors import UsageError
from charpipe.models import Model
from charpipe.models import State as RecurrentState


@dataclass(frozen=True)
class Shard:
    """The streams from `first` to before `end`, of `streams` in the batch."""

    number: int
    first: int
    end: int
    streams: int

    def of(self, values: Tensor) -> Tensor:
        """The shard's part of a tensor whose dimension 1 is that of the streams."""
        return values[:, self.first : self.end].contiguous()


def shards_of(batch_size: int, count: int) -> list[Shard]:
    """All shards of a batch; `count` divides its size."""
    size = batch_size // count
    return [Shard(number, number * size, (number + 1) * size, batch_size) for number in range(count)]


def with_shards(state: RecurrentState, after: Sequence[tuple[Shard, Mapping[str, Tensor]]]) -> RecurrentState:
    """A copy of the state of all streams, in which the shards named have another one."""
    whole = {name: values.clone() for name, values in state.items()}
    for shard, values in after:
        for name, part in values.items():
            whole[name][:, shard.first : shard.end] = part
    return whole


def check_state_by_stream(model: Model, batch_size: int, shards: int) -> None:
    """Raise UsageError unless the streams are dimension 1 of every tensor that the network carries."""
    network, part = model.network, batch_size // shards
    for streams in (batch_size, part):
        state: RecurrentState = network.initial_state(streams)  # type: ignore[operator]
        for name, values in state.items():
            if values.ndim < 2 or values.shape[1] != streams:
                raise UsageError(
                    f"train.shards needs a recurrent state with the streams in dimension 1, and {name!r} of the "
                    f"architecture {model.architecture} is {list(values.shape)} for {streams} streams; nothing was "
                    "trained; leave train.shards at 1"
                )


class GradientVector:
    """The gradients of all parameters in one vector, with the loss, so that they are summed together.

    [gradients | 1 for each parameter that has a gradient, else 0 | loss]
    """

    def __init__(self, network: nn.Module) -> None:
        self._parameters = [each for each in network.parameters() if each.requires_grad]
        self._sizes = [each.numel() for each in self._parameters]
        self._dtype = reduce(torch.promote_types, {each.dtype for each in self._parameters}, torch.float32)

    def take(self, loss: Tensor) -> Tensor:
        """The vector of the gradients that the parameters have now, which they lose."""
        gradients = [each.grad for each in self._parameters]
        parts = [
            torch.zeros(size, dtype=self._dtype, device=loss.device)
            if gradient is None
            else gradient.detach().flatten().to(self._dtype)
            for gradient, size in zip(gradients, self._sizes, strict=True)
        ]
        for each in self._parameters:
            each.grad = None
        there = [float(gradient is not None) for gradient in gradients]
        ends = torch.tensor(there, dtype=self._dtype, device=loss.device)
        return torch.cat([*parts, ends, loss.detach().view(1).to(self._dtype)])

    def give(self, vector: Tensor) -> Tensor:
        """Make the vector the parameters' gradients. Returns the loss in it, float32."""
        parts = torch.split(vector[: sum(self._sizes)], self._sizes)
        there = vector[sum(self._sizes) : -1].tolist()
        for parameter, part, count in zip(self._parameters, parts, there, strict=True):
            parameter.grad = part.view(parameter.shape).to(parameter.dtype) if count else None
        return vector[-1].float()
