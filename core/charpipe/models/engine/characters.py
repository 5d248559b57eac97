"""What characters add to the gates of the first layer: a row of a table each, and the way back from there."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from charpipe.models.shell import LanguageModel


class Characters:
    """One-hot characters, or their embedding, times the first layer's input weights. Where there are more characters
    than a window has tokens, only those that occur have a row."""

    def __init__(self, network: LanguageModel, weights: Tensor) -> None:
        self._network, self._weights = network, weights
        self._used: Tensor | None = None

    def look_up(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """The row of the table for each step and lane, int64 [T, B], and the table, [any, gates * H]."""
        self._used, rows = None, ids
        if self._network.vocabulary_size > ids.numel():
            self._used, rows = torch.unique(ids, return_inverse=True)
        if self._network.embedding is None:
            table = self._of_used(self._weights.t())
        else:
            table = functional.linear(self._of_used(self._network.embedding.weight), self._weights)
        return rows.contiguous(), table

    def gradients(self, of_table: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Parameters and their gradients."""
        if self._network.embedding is None:
            yield self._weights, self._of_all(of_table).t().contiguous()
            return
        embedding = self._network.embedding.weight
        yield self._weights, of_table.t() @ self._of_used(embedding)
        yield embedding, self._of_all(of_table @ self._weights)

    def _of_used(self, values: Tensor) -> Tensor:
        return values if self._used is None else values[self._used]

    def _of_all(self, values: Tensor) -> Tensor:
        """Those of all characters, zero where they do not occur."""
        if self._used is None:
            return values
        return values.new_zeros(self._network.vocabulary_size, values.shape[1]).index_copy_(
            0, self._used, values
        )
