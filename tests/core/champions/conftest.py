"""A corpus to challenge champions on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from challenges import Lab, text

from charpipe.stages import Context


@pytest.fixture
def lab(open_context: Callable[..., Context], project: Path) -> Lab:
    made = Lab(open_context, project)
    made.write(text(1))
    return made
