"""What the kernels of a layer's sweep over a window are specialised for."""

from __future__ import annotations

from dataclasses import dataclass

from charpipe.kernels.jit.values import BFLOAT16, DType
from charpipe.kernels.train.codegen.cell_step import CellStep
from charpipe.kernels.train.codegen.tiles import TILE_COLUMNS

ROW_PADDING = 32
"""Numbers between two rows of saved values."""


@dataclass(frozen=True)
class SweepSpec:
    """A cell, the dtype of its products, its units, and its inputs, or 0 for the first layer, whose inputs are looked
    up; both are multiples of 16. `block_sizes` are those of the row blocks. With `training`, what the backward pass
    needs is saved. With `resets`, streams start from the zero state at some steps."""

    cell: CellStep
    dtype: DType
    units: int
    inputs: int
    block_sizes: tuple[int, ...]
    training: bool = True
    resets: bool = False

    @property
    def precise(self) -> bool:
        """Whether activations must be more accurate than bfloat16."""
        return self.dtype is not BFLOAT16

    @property
    def tile_registers(self) -> int:
        """Registers of units in a tile of the forward pass."""
        return tile_registers(self.cell, with_inputs=bool(self.inputs))

    @property
    def saved_stride(self) -> int:
        """Numbers from one row of saved values to the next."""
        return saved_stride(self.cell, self.units)


def tile_registers(cell: CellStep, *, with_inputs: bool) -> int:
    """Registers of units in a tile of the forward pass. All gates of a unit are in the same tile; one product of it,
    with the hidden units or `with_inputs`, should have 4 registers of columns."""
    gates = max(len(cell.hidden_gates), len(cell.input_gates) if with_inputs else 0, 1)
    return max(1, TILE_COLUMNS // gates)


def saved_stride(cell: CellStep, units: int) -> int:
    """Numbers from one row of saved values to the next: [slots][units], and padding. Without it rows would often be a
    power of two apart, and compete for the same few sets of the processor's caches."""
    return cell.slots * units + ROW_PADDING
