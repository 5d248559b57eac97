"""What the kernels of a layer's sweep over a window are specialised for."""

from __future__ import annotations

from dataclasses import dataclass

from charpipe.kernels.jit.values import BFLOAT16, DType
from charpipe.kernels.train.codegen.cells import Cell

ROW_PADDING = 32
"""Numbers between two rows of saved values."""


@dataclass(frozen=True)
class SweepSpec:
    """A cell, the dtype of its products, its units, and its inputs, or 0 for the first layer, whose inputs are looked
    up; both are multiples of 16. `block_sizes` are those of the row blocks. With `training`, what the backward pass
    needs is saved."""

    cell: Cell
    dtype: DType
    units: int
    inputs: int
    block_sizes: tuple[int, ...]
    training: bool = True

    @property
    def precise(self) -> bool:
        """Whether activations must be more accurate than bfloat16."""
        return self.dtype is not BFLOAT16

    @property
    def saved_stride(self) -> int:
        """Numbers from one row of saved values to the next."""
        return saved_stride(self.cell, self.units)


def saved_stride(cell: Cell, units: int) -> int:
    """Numbers from one row of saved values to the next: [gates][units], and padding. Without it rows would often be a
    power of two apart, and compete for the same few sets of the processor's caches."""
    return cell.gates * units + ROW_PADDING
