"""A cell as PyTorch layers: its step over tensors, one time step after another.

It is the reference for the compiled kernels, and what trains where they cannot.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from charpipe.cells import Cell, CellError, Feeds, Trace, UncompilableError, trace_of
from charpipe.cells.cell import ordered_gates
from charpipe.cells.trace import Named, check


class CellLayers(nn.Module):
    """`num_layers` layers of a cell, with the parameters that `charpipe.cells.Cell` describes.

    Raises CellError if the cell breaks a rule.
    """

    def __init__(
        self, cell: Cell, input_size: int, hidden_size: int, num_layers: int = 1, dropout: float = 0.0
    ) -> None:
        super().__init__()
        check(cell)
        self.cell, self.dropout = cell, dropout
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.compiled_form()  # a cell that breaks a rule is told at once
        for place in range(num_layers):
            self._add_parameters(place, input_size if place == 0 else hidden_size)
        self.reset_parameters()

    def _add_parameters(self, place: int, input_size: int) -> None:
        size, feeds = self.hidden_size, list(self.cell.gates.values())
        from_input = sum(one is not Feeds.HIDDEN for one in feeds)
        from_hidden = sum(one is not Feeds.INPUT for one in feeds)
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (from_input * size, input_size)}
        if from_hidden:
            shapes["weight_hh"] = (from_hidden * size, size)
        shapes["bias_ih"] = (from_input * size,)
        if from_hidden:
            shapes["bias_hh"] = (from_hidden * size,)
        shapes.update(dict.fromkeys(self.cell.vectors, (size,)))
        for name, shape in shapes.items():
            self.register_parameter(f"{name}_l{place}", nn.Parameter(torch.empty(shape)))

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """First values: as PyTorch's layers, uniform(-1/sqrt(H), 1/sqrt(H)); of vectors the cell's own."""
        bound = 1 / math.sqrt(self.hidden_size)
        for name, values in self.named_parameters():
            vector = self.cell.vectors.get(name.rpartition("_l")[0])
            if vector is None:
                values.uniform_(-bound, bound)
            else:
                values.fill_(float(vector))

    def compiled_form(self) -> Trace | str:
        """The cell's trace, or why the kernels cannot run it."""
        return compiled_form(self.cell)

    def extra_repr(self) -> str:
        """The equations are part of what identifies a network."""
        form = self.compiled_form()
        identity = form.digest[:16] if isinstance(form, Trace) else "not compiled"
        sizes = f"{self.input_size}, {self.hidden_size}, num_layers={self.num_layers}, dropout={self.dropout}"
        return f"{type(self.cell).__name__} {identity}, {sizes}"

    def run_layer(
        self,
        place: int,
        inputs: Tensor,
        before: Mapping[str, Tensor],
        recurrent: Tensor | None,
        resets: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """inputs [T, B, I] and the layer's state [B, H] each -> outputs [T, B, H] and the state after, float32.

        `recurrent` is its `weight_hh`, with dropout where that applies. Where `resets` [T, B] is true, a stream starts
        from the zero state.
        """
        cell, parameter = self.cell, self._parameter
        from_input = functional.linear(inputs, parameter("weight_ih", place), parameter("bias_ih", place))
        step = _step_function(cell, {name: parameter(name, place) for name in cell.vectors})
        gates, state, outputs = ordered_gates(cell), dict(before), []
        for t in range(len(inputs)):
            if resets is not None:
                state = {name: value.masked_fill(resets[t, :, None], 0) for name, value in state.items()}
            hidden = state[cell.state[0]]
            bias = None if recurrent is None else parameter("bias_hh", place)
            from_hidden = None if recurrent is None else functional.linear(hidden, recurrent, bias)
            state = step(_sums(gates, from_input[t].float(), from_hidden), state)
            outputs.append(state[cell.state[0]])
        return torch.stack(outputs), {name: value.float() for name, value in state.items()}

    def _parameter(self, name: str, place: int) -> Tensor:
        return self.get_parameter(f"{name}_l{place}")


@cache
def compiled_form(cell: Cell) -> Trace | str:
    """The trace of a cell, or the sentence that says why it cannot be compiled. Raises CellError for a broken rule."""
    try:
        return trace_of(cell)
    except UncompilableError as error:
        return str(error)


def _sums(gates: Mapping[str, Feeds], from_input: Tensor, from_hidden: Tensor | None) -> dict[str, Tensor]:
    """Each gate's sum, [B, H], from the sums of both products [B, gates * H]; `gates` in the order of the weights."""
    size = from_input.shape[1] // sum(one is not Feeds.HIDDEN for one in gates.values())
    inputs = iter(torch.split(from_input, size, 1))
    hiddens = iter(() if from_hidden is None else torch.split(from_hidden.float(), size, 1))
    found = {}
    for name, feeds in gates.items():
        if feeds is Feeds.BOTH:
            found[name] = next(inputs) + next(hiddens)
        else:
            found[name] = next(inputs if feeds is Feeds.INPUT else hiddens)
    return found


Step = Callable[[Mapping[str, Tensor], Mapping[str, Tensor]], dict[str, Tensor]]


def _step_function(cell: Cell, vectors: Mapping[str, Tensor]) -> Step:
    more = (Named("vectors", vectors),) if vectors else ()

    def step(gates: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        after = cell.step(Named("gates", gates), Named("state", state), *more)
        shape = next(iter(state.values())).shape
        for name in cell.state:
            if name not in after:
                raise CellError(f"cell {type(cell).__name__}: `step` does not return the state {name!r}")
            if not isinstance(after[name], Tensor) or after[name].shape != shape:
                found = list(getattr(after[name], "shape", ())) or type(after[name]).__name__
                raise CellError(
                    f"cell {type(cell).__name__}: `step` returns {found} for the state {name!r}, not {list(shape)}"
                )
        return {name: after[name] for name in cell.state}

    return step
