from __future__ import annotations

from pathlib import Path

import charpipe.pages
from charpipe.pages import render

TEMPLATES = Path(charpipe.pages.__file__).parent / "templates"


def test_a_page_carries_its_own_style_and_fetches_nothing():
    page = render("base.html")
    assert page.startswith("<!doctype html>") and "--paper" in page
    assert "default-src 'none'" in page
    for where in ("http://", "https://", "//cdn", "@import", "src="):
        assert where not in page


def test_light_dark_phone_and_keyboard_have_their_rules():
    style = (TEMPLATES / "base.css").read_text()
    for rule in ("prefers-color-scheme: dark", "max-width: 40rem", ":focus-visible", "@media print"):
        assert rule in style
