"""The order of a sum is fixed by the number of shards, whoever adds which part of it."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from charpipe.training.group import ALONE
from charpipe.training.tree_sum import nodes_within, tree_sum


@st.composite
def divided_shards(draw):
    workers, each = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    return workers, workers * each


def summands(count):
    """Numbers of very different sizes, so that another order gives other bits."""
    generator = torch.Generator().manual_seed(count)
    return [torch.randn(50, generator=generator) * 10.0 ** (number % 5) for number in range(count)]


@given(divided_shards())
def test_sum_by_parts_of_workers_has_the_same_bits(divided):
    workers, shards = divided
    whole = ALONE.sum(shards, lambda number: summands(shards)[number])
    each, parts = shards // workers, {}
    for rank in range(workers):
        for node in nodes_within(rank * each, (rank + 1) * each, (0, shards)):
            leaves = {(number, number + 1): values for number, values in enumerate(summands(shards))}
            parts[node] = tree_sum(node, leaves.get)
    assert torch.equal(tree_sum((0, shards), parts.get), whole)


@given(divided_shards())
def test_nodes_cover_the_shards_once_in_order(divided):
    workers, shards = divided
    each = shards // workers
    for rank in range(workers):
        nodes = nodes_within(rank * each, (rank + 1) * each, (0, shards))
        assert [number for first, end in nodes for number in range(first, end)] == list(
            range(rank * each, (rank + 1) * each)
        )


def test_powers_of_two_need_one_node_a_worker():
    assert [nodes_within(rank * 2, rank * 2 + 2, (0, 8)) for rank in range(4)] == [
        [(0, 2)], [(2, 4)], [(4, 6)], [(6, 8)]
    ]  # fmt: skip


def test_another_order_gives_other_bits():
    values = summands(8)
    assert not torch.equal(
        sum(values[1:], values[0].clone()), ALONE.sum(8, lambda number: summands(8)[number])
    )
