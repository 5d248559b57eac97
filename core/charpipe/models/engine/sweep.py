"""One recurrent layer over a window, forward and back through time, as one operation of PyTorch's autograd.

Forward, each step is a product with the recurrent weights and a kernel. Backward, only the recurrent gradient needs
a product a step; the weights' own is one large product after the sweep.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from charpipe.models.engine.cells import Cell
from charpipe.models.engine.kernels import scatter
from charpipe.models.engine.lanes import divide, in_parallel, parts_for
from charpipe.models.engine.products import multiplier

COLUMNS = 256
"""Columns of the look-up's gradient that are worth a thread."""


def array(tensor: Tensor) -> NDArray[Any]:
    """The tensor's numbers as kernels take them; bfloat16 as its bits."""
    tensor = tensor.detach()
    found: NDArray[Any] = (tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor).numpy()
    return found


class Sweep(torch.autograd.Function):
    """outputs [T, B, H] and the last hidden state and memory, float32 [B, H], through which no gradient flows back.

    `source` [N, G] is what inputs add to the gates, and `rows` int64 [T, B] names the row of each lane and step,
    unless it is None: then there is one row for each, in order, and `hidden` [B, H] says how many lanes there are;
    `recurrent` [P, H] are the weights of the products, in float32 or bfloat16; `bias` [H] is the GRU's.
    """

    @staticmethod
    def forward(
        ctx: Any,
        cell: Cell,
        source: Tensor,
        rows: Tensor | None,
        recurrent: Tensor,
        bias: Tensor,
        hidden: Tensor,
        memory: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        (lanes, size), dtype, ordered = hidden.shape, recurrent.dtype, rows is None
        rows = torch.arange(len(source)).view(-1, lanes) if rows is None else rows
        steps = len(rows)
        gates = torch.empty(steps, lanes, cell.width * size, dtype=dtype)
        outputs = torch.empty(steps + 1, lanes, size, dtype=dtype)
        memories = torch.empty(steps + 1, lanes, size)
        outputs[0], memories[0] = hidden, memory
        places = rows.numpy()
        kept, wrote, held, added, shifted = map(array, (gates, outputs, memories, source, bias))

        def work(a: int, b: int) -> None:
            before = outputs[:, a:b].unbind(0)
            for t in range(steps):
                cell.forward(
                    array(multiply(before[t])),
                    added,
                    places[t, a:b],
                    shifted,
                    kept[t, a:b],
                    held[t, a:b],
                    held[t + 1, a:b],
                    wrote[t + 1, a:b],
                )

        with torch.no_grad():
            stretches = divide(lanes, parts_for(lanes, recurrent.numel()))
            multiply = multiplier(recurrent, stretches[0][1])
            in_parallel(work, stretches)
        ctx.cell, ctx.table = cell, None if ordered else source.shape
        ctx.save_for_backward(gates, outputs, memories, rows, recurrent)
        last = outputs[-1].float(), memories[-1].clone()
        ctx.mark_non_differentiable(*last)
        return outputs[1:], *last

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        gates, outputs, memories, rows, recurrent = ctx.saved_tensors
        cell: Cell = ctx.cell
        (steps, lanes), size = rows.shape, recurrent.shape[1]
        first, end = (size * block for block in cell.products)
        above, nothing = gradients[0].contiguous(), torch.zeros(lanes, size, dtype=recurrent.dtype)
        kept, held, wanted, zeros = map(array, (gates, memories, above, nothing))

        def work(a: int, b: int) -> None:
            sums, returned = gates[:, a:b, first:end].unbind(0), zeros[a:b]
            carry = np.zeros((b - a, size), np.float32)
            for t in range(steps - 1, -1, -1):
                cell.backward(kept[t, a:b], held[t, a:b], held[t + 1, a:b], wanted[t, a:b], returned, carry)
                if t:
                    returned = array(multiply(sums[t]))

        with torch.no_grad():
            stretches = divide(lanes, parts_for(lanes, recurrent.numel()))
            multiply = multiplier(recurrent.t(), stretches[0][1])
            in_parallel(work, stretches)
            flat = gates.flatten(0, 1)
            weights = flat[:, first:end].t() @ outputs[:-1].flatten(0, 1)
            bias = flat[:, -size:].float().sum(0) if cell.products != cell.inputs else None
            return None, _of_source(ctx.table, flat, rows, cell), None, weights, bias, None, None


def _of_source(shape: torch.Size | None, gradients: Tensor, rows: Tensor, cell: Cell) -> Tensor:
    """The gradient of what inputs added: as it is, or, of a look-up table, summed by row."""
    size = gradients.shape[1] // cell.width
    used = gradients[:, cell.inputs[0] * size : cell.inputs[1] * size]
    if shape is None:
        return used
    table = torch.zeros(shape)
    values, places, sums = array(used), rows.flatten().numpy(), array(table)
    threads = max(1, min(torch.get_num_threads(), shape[1] // COLUMNS))
    in_parallel(lambda a, b: scatter(values, places, sums, a, b), divide(shape[1], threads))
    return table
