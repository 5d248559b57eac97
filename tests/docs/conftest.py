"""The plugins of the guide are made anew by every test: none is left among the imported modules."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from prefect_server import shared_server

__all__ = ["shared_server"]
GUIDE = ("minimal_gated", "minimal_gru", "frequencies", "without", "weight_norm", "greeting", "enough_memory")


@pytest.fixture(autouse=True)
def without_modules_of_the_guide() -> Iterator[None]:
    yield
    for name in list(sys.modules):
        if name.partition(".")[0] in GUIDE:
            del sys.modules[name]
