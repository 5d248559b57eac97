"""The first layer's input: a table with what each token adds to the gates, and the gradients back from it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from charpipe.kernels.modules import NetworkModules


class InputTable:
    """W x of every token x, one-hot or embedded, where W are the first layer's input weights: a look-up instead of a
    product. If the vocabulary has more tokens than the window, only the tokens of the window have a row."""

    def __init__(self, modules: NetworkModules) -> None:
        self._modules, self._weights = modules, modules.layer_parameter("weight_ih", 0)
        self._used: Tensor | None = None

    def look_up(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """ids int64 [T, B] -> the table's row for each of them, int64 [T, B], and the table [any, gates * H]."""
        self._used, rows = None, ids
        if self._modules.vocabulary_size > ids.numel():
            self._used, rows = torch.unique(ids, return_inverse=True)
        if self._modules.embedding is None:
            table = self._select(self._weights.t())
        else:
            table = functional.linear(self._select(self._modules.embedding.weight), self._weights)
        return rows.contiguous(), table

    def gradients(self, grad_table: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Parameters and their gradients, from the gradient of the table."""
        if self._modules.embedding is None:
            yield self._weights, self._scatter(grad_table).t().contiguous()
            return
        embedding = self._modules.embedding.weight
        yield self._weights, grad_table.t() @ self._select(embedding)
        yield embedding, self._scatter(grad_table @ self._weights)

    def _select(self, values: Tensor) -> Tensor:
        """The rows of the tokens in use."""
        return values if self._used is None else values[self._used]

    def _scatter(self, values: Tensor) -> Tensor:
        """Rows of the tokens in use as rows of all tokens, zero elsewhere."""
        if self._used is None:
            return values
        return values.new_zeros(self._modules.vocabulary_size, values.shape[1]).index_copy_(
            0, self._used, values
        )
