"""The code beside models that 0.1 registered in MLflow imports charpipe's modules by the names they had then."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from charpipe.lazy import EarlierModules

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


FLOW = """
import sys
import charpipe_pipelines
assert "prefect" not in sys.modules
from charpipe_pipelines.reproduce_2015 import reproduce_2015
from charpipe_pipelines import flows
assert reproduce_2015 is flows.reproduce_2015 and reproduce_2015.name == "reproduce-2015"
"""


@pytest.mark.e2e
def test_flow_of_a_plugin_is_found_where_earlier_deployments_look() -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", FLOW], check=True)


def test_finders_of_two_packages_stand_beside_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    before = len(sys.meta_path)
    for _ in range(2):
        EarlierModules({"earlier_name": "charpipe.lazy"}).install()
    assert len(sys.meta_path) == before + 1
    assert importlib.util.find_spec("earlier_name") and importlib.util.find_spec("charpipe.library")
