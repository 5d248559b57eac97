"""The position in a generated text, from which it can continue: the model's state, the last token and the random
numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from charpipe.generation.random_numbers import Noise
from charpipe.models.contract import State


@dataclass
class Position:
    """`state` is the state after all tokens but the last, `token`, which the model reads first on continuing.

    An empty position is the beginning. `generate` starts from the given position and advances it as the text is
    consumed; the random numbers continue too, so that a text generated in two halves equals the same text generated
    at once.
    """

    state: State | None = None
    token: int | None = None
    noise: Sequence[Noise] = field(default=(), repr=False)
    ended: bool = False
    """Whether the model wrote the end of a document, which is the last token."""

    def copy(self) -> Position:
        """A copy of the position; its random numbers restart from the next seed."""
        state = self.state and {name: value.clone() for name, value in self.state.items()}
        return Position(state, self.token)
