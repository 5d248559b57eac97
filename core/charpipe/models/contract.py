"""What charpipe requires of a model: the recurrence inside the shell, and the predictor outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from charpipe.errors import RunError

if TYPE_CHECKING:
    from torch import Tensor

State = dict[str, "Tensor"]
"""Carried state by name, the batch in dimension 1: `{"hidden": [layers, B, H], "cell": [layers, B, H]}`."""


class Recurrence(Protocol):
    """`(x: float[T, B, I], state) -> (y: float[T, B, H], state)`, a `torch.nn.Module`."""

    def __call__(self, inputs: Tensor, state: State) -> tuple[Tensor, State]: ...
    def initial_state(self, batch_size: int) -> State: ...


class Predictor(Protocol):
    """The interface of a model, neural or count-based, for evaluation, sampling and inspection."""

    vocabulary_size: int

    def initial_state(self, batch_size: int) -> State: ...

    def step(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        """Read `ids` (int64 [B]); returns the logits of the next token (float32 [B, V]) and the state after."""
        ...

    def score(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        """Nats of `ids[1:]` (float32 [T, B]) given all before; `ids` is int64 [T + 1, B]. The state after has
        read all but the last of them, which the next call begins with."""
        ...


class FittedPredictor(Predictor, Protocol):
    """What an architecture's `fit` returns and its `restore` rebuilds: a predictor on the CPU."""

    @property
    def parameters(self) -> int:
        """The number of counted parameters."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """All tensors needed to restore it, by name; contiguous, with no shared memory."""
        ...


def check_ids(ids: Tensor, vocabulary_size: int) -> None:
    """Raise RunError unless all of them are valid for a vocabulary of this size: kernels do not check them."""
    least, most = (int(end) for end in ids.aminmax())
    if least < 0 or most >= vocabulary_size:
        raise RunError(
            f"token {least if least < 0 else most} is none of the {vocabulary_size} in the vocabulary: the tokens are "
            "damaged, or of another vocabulary; make them anew with --force encode"
        )


def detach(state: State) -> State:
    """The same tensors, detached: the truncation of truncated backpropagation through time."""
    return {name: value.detach() for name, value in state.items()}
