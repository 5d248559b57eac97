"""The code beside models that 0.1 registered in MLflow imports charpipe's modules by the names they had then."""

from __future__ import annotations

import subprocess
import sys

EARLIER = """
from charpipe.plugin import resolve
import sys
assert "charpipe.plugins.registry" not in sys.modules
from charpipe.registry import Registry
from charpipe.generation.settings import SampleConfig
from charpipe.generation import sample
from charpipe.evaluation import score_text
load_bundle = resolve("charpipe.library:load_bundle")
from charpipe.plugins.registry import Registry as now
from charpipe.models.loaded import load_bundle as load_now
assert Registry is now and load_bundle is load_now
"""


def test_modules_of_earlier_releases_are_found() -> None:
    subprocess.run([sys.executable, "-c", EARLIER], check=True)


def test_other_missing_modules_are_missing() -> None:
    code = (
        "import importlib.util; assert importlib.util.find_spec('charpipe.nonesuch') is None; import charpipe"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
