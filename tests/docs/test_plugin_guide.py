"""The plugin of the guide works as the guide says: dropped into `plugins/`, listed, conforming, trained."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import charpipe
from charpipe.registry import Registry
from charpipe.testing import check_architecture

GUIDE = Path(__file__).parents[2] / "docs" / "plugins.md"


@pytest.fixture
def plugin(project: Path) -> Iterator[Path]:
    init, model, *_ = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    folder = project / "plugins" / "minimal_gru"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(init)
    (folder / "model.py").write_text(model)
    yield folder
    for name in [name for name in sys.modules if name.startswith("minimal_gru")]:
        del sys.modules[name]


def test_it_conforms(plugin: Path) -> None:
    check_architecture(Registry([plugin.parent]).architecture("minimal-gru"))


def test_it_trains(plugin: Path) -> None:
    settings = {"tracking.enabled": False, "train.steps": 3, "architectures.minimal-gru.hidden_size": 6}
    assert "minimal-gru" in charpipe.train("hello", arch="minimal-gru", settings=settings).name
