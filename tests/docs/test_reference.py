"""The reference is what the code says, and everything a user can set or call is in it."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", ["commands", "settings"])
def test_the_reference_is_up_to_date(page: str, project: Path) -> None:
    written = runpy.run_path(str(DOCS / "reference.py"))[page]()
    assert (DOCS / f"{page}.md").read_text(encoding="utf-8") == written, "run: python docs/reference.py"


def test_every_setting_says_what_it_means() -> None:
    for line in (DOCS / "settings.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            assert line.split("|")[-2].strip(), line
