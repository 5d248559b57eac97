"""The pinned versions install on the oldest Python that charpipe supports, such as that of Debian 12 (3.11.2)."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
OLDEST = "3.11.0"


def test_every_pinned_version_takes_the_oldest_python() -> None:
    assert OLDEST in SpecifierSet(str(metadata("charpipe").get("Requires-Python")))
    pins = re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    refused, seen = [], 0
    for name, version in pins:
        try:
            facts = metadata(name)
        except PackageNotFoundError:  # of an extra that is not installed
            continue
        seen += facts["Version"].partition("+")[0] == version
        wanted = facts.get("Requires-Python")  # another library may have replaced the class of the facts
        if wanted is not None and OLDEST not in SpecifierSet(wanted):
            refused.append(f"{name} {facts['Version']} needs Python {wanted}")
    assert not refused
    assert seen > len(pins) / 2  # the environment has the pinned versions
