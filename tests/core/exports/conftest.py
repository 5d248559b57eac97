from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """Opens a page from a file, in place of the one before; anything it asks for besides, and any error of its script,
    fails the test. It writes by itself only where that is what is tested."""
    contexts, troubles = [], []

    def open_one(html: str, *, moving: bool = False, **settings: Any) -> Any:
        for context in contexts:
            context.close()
        contexts.clear()
        settings.setdefault("reduced_motion", "no-preference" if moving else "reduce")
        file = tmp_path / "page of ü.html"
        file.write_text(html, encoding="utf-8")
        contexts.append(browser.new_context(offline=True, **settings))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda r: r.url.startswith(("file:", "blob:")) or troubles.append(r.url))
        page.on("console", lambda message: troubles.append(message.text))
        page.goto(file.as_uri())
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert troubles == []
