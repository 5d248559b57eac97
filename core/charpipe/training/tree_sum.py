"""Sums in a fixed order: floating-point addition rounds, so the order of the summands decides the bits of the sum.

The shards 0 to G - 1 are the leaves of a binary tree, whose nodes are ranges of shards. Each node adds the sum of its
first half and that of its second half. Whoever computes which part of the tree, the result has the same bits.

    (0, 4)
    (0, 2)          (2, 4)          4 shards; a worker that has the shards 2 and 3 computes the node (2, 4)
    (0, 1) (1, 2)   (2, 3) (3, 4)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Node = tuple[int, int]
"""The first shard of a range, and the one after its last."""


def halves(node: Node) -> tuple[Node, Node]:
    """The two children of a node with more than one shard."""
    first, end = node
    middle = (first + end) // 2
    return (first, middle), (middle, end)


def nodes_within(first: int, end: int, tree: Node) -> list[Node]:
    """The largest nodes of `tree` that lie within the shards from `first` to before `end`, in their order."""
    if first <= tree[0] and tree[1] <= end:
        return [tree]
    if tree[1] <= first or end <= tree[0]:
        return []
    return [node for child in halves(tree) for node in nodes_within(first, end, child)]


def tree_sum(node: Node, known: Callable[[Node], Tensor | None]) -> Tensor:
    """The sum of a node: that which is `known`, or that of its halves. `known` returns a tensor for every leaf, and is
    called in the order of the shards; the sum may be written into its tensors."""
    found = known(node)
    if found is not None:
        return found
    first, second = (tree_sum(child, known) for child in halves(node))
    return first.add_(second)
