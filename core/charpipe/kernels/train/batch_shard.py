"""The streams of a batch that one thread takes through the window."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from charpipe.kernels.jit.processor import Processor
from charpipe.kernels.jit.values import DType
from charpipe.kernels.train.codegen.tiles import RowBlocks, block_rows


@dataclass(frozen=True)
class BatchShard:
    """The streams from `first` on, in blocks of `block_sizes`. `window` are the kernels' first four arguments."""

    first: int
    window: tuple[int, int, int, int]
    block_sizes: tuple[int, ...]

    @classmethod
    def of(
        cls, processor: Processor, dtype: DType, steps: int, batch_size: int, streams: tuple[int, int]
    ) -> BatchShard:
        """The shard of the streams from the first to before the second number."""
        blocks = RowBlocks.of(streams[1] - streams[0], block_rows(processor, dtype))
        return cls(streams[0], (steps, batch_size, *blocks.counts), blocks.sizes)

    def address(self, values: Tensor, dimension: int = 1) -> int:
        """The address of the shard's first stream; `dimension` is that of the batch."""
        return values.data_ptr() + self.first * values.stride(dimension) * values.element_size()
