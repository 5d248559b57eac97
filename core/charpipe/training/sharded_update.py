"""An update whose batch is divided into shards: a gradient for each, their sum, clipping, the optimizer's step.

The shards are divided among the workers of a group; one process computes all of them, one after another.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from charpipe.errors import UsageError
from charpipe.training.gradient_step import clip_and_step, loss_factor, seed_generator
from charpipe.training.optimizers import set_rates
from charpipe.training.orders import UpdateOrder
from charpipe.training.setup import Setup
from charpipe.training.shards import GradientVector, Shard, shards_of, with_shards
from charpipe.training.state import State


class ShardedUpdate:
    """The update of a training with more than one shard."""

    def __init__(self, setup: Setup, state: State) -> None:
        self._setup, self._state, self._vector = setup, state, GradientVector(state.network)
        self._shards = shards_of(setup.batches.batch_size, setup.settings.shards)
        self._buffers = {name: values.clone() for name, values in state.network.named_buffers()}
        """Before the first update; empty after it."""

    def __call__(self, order: UpdateOrder, measure: bool = False) -> Mapping[str, Tensor]:
        """Carry out an update. Every worker of the group is given the same orders. Returns what it measured.

        Raises UsageError where the network's shards depend on each other.
        """
        setup, state = self._setup, self._state
        if order.starts_epoch:
            state.recurrent = state.network.initial_state(setup.batches.batch_size)  # type: ignore[operator]
        ids = order.ids.to(setup.device, non_blocking=True)
        after: list[tuple[Shard, Mapping[str, Tensor]]] = []

        def gradient(number: int) -> Tensor:
            shard = self._shards[number]
            loss, recurrent = self._loss_and_grad(shard, order.step, ids)
            after.append((shard, recurrent))
            return self._vector.take(loss)

        state.optimizer.zero_grad(set_to_none=True)
        summed = setup.group.sum(len(self._shards), gradient)
        self._check_buffers()
        state.recurrent = with_shards(state.recurrent, after)
        set_rates(state.optimizer, order.rate, order.momentum)
        loss = self._vector.give(summed) / len(self._shards)
        return clip_and_step(setup, state, loss, measure)

    def _loss_and_grad(self, shard: Shard, step: int, ids: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The gradient of one shard, in the parameters. With the engine `fast` the shards have the dropout masks of the
        whole batch; otherwise each draws its own."""
        setup = self._setup
        seed = setup.settings.seed
        numbers = (seed, step) if setup.engine == "fast" else (seed, step, shard.number)
        seed_generator(setup.device, *numbers)
        before = {name: shard.of(values) for name, values in self._state.recurrent.items()}
        mine = shard.of(ids)
        return setup.loss_and_grad(
            mine[:-1],
            mine[1:],
            before,
            loss_factor(setup) / len(self._shards),
            streams=(shard.first, shard.streams),
        )

    def _check_buffers(self) -> None:
        """Raise UsageError where the first update changed a buffer of the network, as batch normalization does."""
        now = dict(self._state.network.named_buffers())
        changed = [name for name, values in self._buffers.items() if not torch.equal(values, now[name])]
        self._buffers = {}
        if changed:
            raise UsageError(
                f"train.shards needs shards that do not depend on each other, and {changed[0]!r} of the architecture "
                f"{self._setup.model.architecture} changes from shard to shard, as batch normalization does; nothing "
                "was trained; leave train.shards at 1"
            )
