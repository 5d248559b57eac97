from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pages import make  # isort: skip


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """Opens a page from a file; anything it asks for besides, and any error of its script, fails the test."""
    contexts, troubles = [], []

    def open_one(html: str | None = None, **settings: Any) -> Any:
        file = tmp_path / "inspection of ü.html"
        file.write_text(html or make(), encoding="utf-8")
        contexts.append(browser.new_context(offline=True, **settings))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda r: r.url.startswith(("file:", "blob:")) or troubles.append(r.url))
        page.goto(file.as_uri())
        page.wait_for_selector(".c.now")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert troubles == []
