"""Where a text stands, so that it can go on later: what the model carries, the last token, and the dice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from charpipe.generation.random_numbers import Noise
from charpipe.models import State


@dataclass
class Position:
    """`state` has read all but `token`, the last, which the model reads first when it goes on.

    An empty one is the beginning. `generate` starts from the position it is given and moves it as the text is taken
    from it; the random numbers go on too, so that two halves are the text written at once.
    """

    state: State | None = None
    token: int | None = None
    noise: Sequence[Noise] = field(default=(), repr=False)

    def copy(self) -> Position:
        """The same place; its dice are thrown anew from the next seed."""
        state = self.state and {name: value.clone() for name, value in self.state.items()}
        return Position(state, self.token)
