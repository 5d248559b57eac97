"""The counted model as arrays: a tree of contexts, what followed each of them, and the text itself.

Contexts that occur twice or more are inner nodes; one that occurs once is a leaf, and any longer context it is the
end of is read from the text where it occurs. So the tree is no larger for higher orders than the text repeats itself.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[Any]


@dataclass(frozen=True)
class Tables:
    """Nodes are numbered level by level, the root first; the children of a node lie side by side, as do its entries.

    A node's children are `child_start[node]` to `child_start[node + 1]`, sorted by `child_token`, the character one
    further back. Its entries, sorted by `entry_token`, are what followed it: `P(w | node) = entry_weight + backoff *
    P(w | parent)`. `place` is that of a leaf's only occurrence in `text`, else -1; a context of k characters that the
    text there goes on to share with a leaf has the weight `1 - discount[k]` for the token that followed.
    """

    child_start: Array
    child_token: Array
    entry_start: Array
    entry_token: Array
    entry_weight: Array
    backoff: Array
    place: Array
    text: Array
    discount: Array
    sizes: Array
    """Numbers of nodes, entries and tokens of the text."""

    def tensors(self) -> dict[str, Tensor]:
        """All of it, by name."""
        return {item.name: torch.from_numpy(getattr(self, item.name)) for item in fields(self)}


def token_type(vocabulary_size: int) -> type[np.generic]:
    """The smallest type for tokens that torch knows as well."""
    return np.uint8 if vocabulary_size <= 256 else np.int32


def index_type(largest: int) -> type[np.generic]:
    """The smallest type for numbers up to `largest`."""
    return np.int32 if largest < 1 << 31 else np.int64


def read_tables(tensors: dict[str, Tensor], order: int, vocabulary_size: int) -> Tables:
    """The tables in saved tensors, of which nothing is trusted. Raises ValueError naming what is wrong."""
    names = {item.name for item in fields(Tables)}
    if names != set(tensors):
        raise ValueError(f"{sorted(names ^ set(tensors))[0]!r} is missing or unknown")
    tables = Tables(**{name: tensors[name].numpy() for name in names})
    if tables.sizes.dtype != np.int64 or tables.sizes.shape != (3,) or not (tables.sizes >= 0).all():
        raise ValueError("'sizes' are not three numbers")
    nodes, entries, length = (int(size) for size in tables.sizes)
    _check_form(tables, nodes, entries, length, order, vocabulary_size)
    _check_starts("child_start", tables.child_start, 1, nodes)
    _check_starts("entry_start", tables.entry_start, 0, entries)
    for name, largest in (
        ("child_token", vocabulary_size),
        ("entry_token", vocabulary_size),
        ("text", vocabulary_size),
    ):
        _check_range(name, getattr(tables, name), 0, largest - 1)
    _check_range("place", tables.place, -1, length - 1)
    for name in ("entry_weight", "backoff", "discount"):
        _check_range(name, getattr(tables, name), 0.0, 1.0)
    return tables


def _check_form(
    tables: Tables, nodes: int, entries: int, length: int, order: int, vocabulary_size: int
) -> None:
    token, index, real = (
        {np.dtype(token_type(vocabulary_size))},
        {np.dtype("i4"), np.dtype("i8")},
        {np.dtype("f4")},
    )
    forms: dict[str, tuple[int, set[Any]]] = {
        "child_start": (nodes + 1, index),
        "child_token": (nodes, token),
        "entry_start": (nodes + 1, index),
        "entry_token": (entries, token),
        "entry_weight": (entries, real),
        "backoff": (nodes, real),
        "place": (nodes, index),
        "text": (length, token),
        "discount": (order, real),
    }
    if nodes < 1:
        raise ValueError("there is no root")
    for name, (size, types) in forms.items():
        found = getattr(tables, name)
        if found.shape != (size,) or found.dtype not in types:
            raise ValueError(f"{name!r} is {found.dtype} {list(found.shape)}, which does not fit 'sizes'")


def _check_starts(name: str, starts: Array, first: int, last: int) -> None:
    if starts[0] != first or starts[-1] != last or (np.diff(starts) < 0).any():
        raise ValueError(f"{name!r} does not rise from {first} to {last}")


def _check_range(name: str, values: Array, least: float, most: float) -> None:
    if len(values) and not (values.min() >= least and values.max() <= most):
        raise ValueError(f"{name!r} leaves the range {least} to {most}")
