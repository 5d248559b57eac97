"""Resets: a stream that reads an end token does so from the zero state, so that documents do not see each other.

An end token ends one document and begins the next, as the first input of both training and sampling: the state before
it is zero, and the first character of a document is predicted from the end token alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from charpipe.errors import RunError
from charpipe.models.contract import State
from charpipe.plugins.contracts import END_TOKEN

Forward = Callable[[Tensor, State], tuple[Tensor, State]]


def set_end_token(network: nn.Module, vocabulary: Mapping[str, Any], size: int) -> None:
    """Let the network know the end token of its vocabulary of `size` tokens. Raises RunError where it is none."""
    token = vocabulary.get(END_TOKEN)
    if token is None:
        return
    if not isinstance(token, int) or isinstance(token, bool) or not 0 <= token < size:
        raise RunError(f"the end token {token!r} of the model's vocabulary is none of its {size} tokens")
    network.end_token = token  # type: ignore[assignment]


def end_token_of(network: nn.Module) -> int | None:
    """The token before which a network's streams start from the zero state, or None."""
    token = getattr(network, END_TOKEN, None)
    return token if isinstance(token, int) else None


def forward_in_documents(network: nn.Module, ids: Tensor, state: State) -> tuple[Tensor, State]:
    """The forward pass of any network that keeps the model contract, with resets: ids int64 [T, B] -> logits [T, B, V].

    charpipe's own shell resets inside; of other modules each stretch between resets is a call of its own.
    """
    token = end_token_of(network)
    if token is None or getattr(network, "resets_itself", False):
        found: tuple[Tensor, State] = network(ids, state)
        return found
    return in_stretches(network, network.initial_state, ids, state, ids == token)  # type: ignore[arg-type]


def in_stretches(
    forward: Forward, initial_state: Callable[[int], State], values: Tensor, state: State, resets: Tensor
) -> tuple[Tensor, State]:
    """The outputs [T, B, ...] of a recurrence over `values` [T, B, ...], which starts a stream from the initial state
    where `resets` [T, B] is true; and the state after."""
    outputs = []
    for start, stop in stretches(resets):
        state = reset(state, initial_state, resets[start])
        found, state = forward(values[start:stop], state)
        outputs.append(found)
    return torch.cat(outputs), state


def stretches(resets: Tensor) -> Iterator[tuple[int, int]]:
    """Ranges of steps, each beginning where a stream starts anew, or with the window."""
    starts = sorted({0, *resets.any(1).nonzero().flatten().tolist()})
    yield from zip(starts, [*starts[1:], len(resets)], strict=True)


def reset(state: State, initial_state: Callable[[int], State], chosen: Tensor) -> State:
    """The state [layers, B, ...] with the chosen [B] streams as they are before any character."""
    if not bool(chosen.any()):
        return state
    first = initial_state(len(chosen))
    return {
        name: torch.where(chosen.view(1, -1, *[1] * (value.ndim - 2)), first[name], value)
        for name, value in state.items()
    }
