"""Checks of versions: Python and the packages, against the set that is tested and the ranges that are allowed."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement

from charpipe.diagnostics.surroundings import Surroundings
from charpipe.plugins.contracts import Finding

FILE = "constraints.txt"
TESTED_PYTHON = (3, 11)
EXTRA = "cluster"


def python(surroundings: Surroundings) -> Iterator[Finding]:
    """The Python version, and charpipe's own."""
    here = ".".join(map(str, sys.version_info[:3]))
    tested = ".".join(map(str, TESTED_PYTHON))
    said = f"charpipe {version('charpipe')} on Python {here}"
    if sys.version_info[:2] == TESTED_PYTHON:
        yield Finding("python", "ok", f"{said}, the version it is tested on")
    else:
        yield Finding("python", "ok", f"{said} (tested on {tested})")


def packages(surroundings: Surroundings) -> Iterator[Finding]:
    """The packages that charpipe always needs."""
    yield from _compared("packages", [one for one in _requirements() if _applies(one.marker)])


def extras(surroundings: Surroundings) -> Iterator[Finding]:
    """The packages of the extra `cluster`, which only a team's servers need."""
    needed = [one for one in _requirements() if _extra(one) == EXTRA]
    missing = sorted(one.name for one in needed if _installed(one.name) is None)
    if not missing:
        yield from _compared("extras", needed)
        return
    level, remedy = (
        ("ok", None) if not surroundings.cluster else ("problem", f"pip install 'charpipe[{EXTRA}]'")
    )
    yield Finding(
        "extras",
        level,  # type: ignore[arg-type]
        f"the extra {EXTRA}, for a team's servers, is not installed whole: without {', '.join(missing)}",
        remedy and f"type: {remedy}",
    )


def _compared(check: str, needed: list[Requirement]) -> Iterator[Finding]:
    tested, same = _tested(), 0
    for one in needed:
        here, pinned = _installed(one.name), tested.get(_plain(one.name))
        wanted = f"{one.name}{one.specifier}"
        if here is None:
            yield Finding(check, "problem", f"{one.name} is not installed", f"type: pip install '{wanted}'")
        elif not one.specifier.contains(here, prereleases=True):
            message = f"{one.name} {here} is outside the versions that charpipe works with ({one.specifier})"
            yield Finding(check, "problem", message, f"type: pip install '{wanted}'")
        elif pinned is not None and here.partition("+")[0] != pinned:
            yield Finding(check, "ok", f"{one.name} {here} (tested: {pinned})")
        else:
            same += 1
    if same:
        yield Finding(
            check, "ok", f"{same} packages have their tested versions" if tested else f"{same} packages fit"
        )


def _requirements() -> list[Requirement]:
    return [Requirement(text) for text in requires("charpipe") or []]


def _extra(requirement: Requirement) -> str | None:
    """The extra that a requirement belongs to; None for one that is always needed."""
    found = re.search(r"extra == ['\"]([^'\"]+)['\"]", str(requirement.marker or ""))
    return found[1] if found else None


def _applies(marker: Marker | None) -> bool:
    """Whether a requirement's marker holds on this machine, its extra aside."""
    return marker is None or marker.evaluate({"extra": ""})


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


@cache
def _tested() -> dict[str, str]:
    """The tested version of each package: constraints.txt, in the installed package or at the root of the checkout."""
    package = Path(__file__).parents[1]
    path = next((one for one in (package / FILE, package.parent.parent / FILE) if one.is_file()), None)
    if path is None:
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    pins = (line.partition("#")[0].strip().partition("==") for line in lines)
    return {_plain(name): pinned for name, found, pinned in pins if found}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
