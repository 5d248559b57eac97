"""The page in a real browser: it writes, stops, walks, shows bars; on a phone and in the dark."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from charpipe.playground import answers
from waiting import until


@pytest.fixture
def open_page(server: Any, browser: Any) -> Iterator[Any]:
    opened: list[Any] = []

    def opens(**options: Any) -> Any:
        context = browser.new_context(**options)
        opened.append(context)
        page = context.new_page()
        page.problems = []
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on("console", lambda message: page.problems.append(message.text))
        page.goto(server.url)
        until(lambda: page.locator("#bars li").count() > 0, page.content)
        return page

    yield opens
    for context in opened:
        assert [page.problems for page in context.pages] == [[]]
        context.close()


def written(page: Any) -> str:
    return page.text_content("#text")


def write(page: Any) -> None:
    """Write by the keyboard, and wait for the end."""
    page.keyboard.press("Control+Enter")
    until(lambda: "done" in page.inner_text("#status"), lambda: page.inner_text("#status"))


def set_slider(page: Any, name: str, value: float) -> None:
    page.eval_on_selector(
        f"#{name}", "(at, value) => { at.value = value; at.dispatchEvent(new Event('input')); }", value
    )


def test_writes_by_keyboard_as_the_settings_say(open_page):
    page = open_page()
    assert page.input_value("#prompt") == "ab"
    set_slider(page, "length", 25)
    write(page)
    first = written(page)
    assert first.startswith("ab")
    assert len(first) == 27
    assert page.locator("#text .given").count() == 2
    write(page)
    assert written(page) == first
    page.fill("#seed", "4")
    write(page)
    assert written(page) != first
    set_slider(page, "temperature", 0)
    set_slider(page, "top_k", 2)
    write(page)
    assert page.inner_text("#top_k-value") == "2"


def test_arrows_walk_through_the_text_and_show_bars(open_page):
    page = open_page()
    page.fill("#prompt", "ab\ncd\n")
    write(page)
    assert page.evaluate("document.activeElement.id") == "text"
    page.keyboard.press("Home")
    assert "character 1 of" in page.inner_text("#status")
    assert page.inner_text("#bars-title") == "Nothing was read before character 1"
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#text .at") == "b"
    assert page.inner_text("#bars .chosen .face") == "b"
    assert page.inner_text("#bars-title") == "What could stand at character 2"
    page.keyboard.press("ArrowDown")
    assert page.inner_text("#text .at") == "d"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("#text .at") == "a"
    page.keyboard.press("End")
    assert page.inner_text("#status").startswith(f"character {len(written(page))} of")
    page.click("#text > span >> nth=3")
    assert page.inner_text("#text .at") == "c"
    assert page.locator("#bars li").count() == 9


def test_bars_follow_the_cursor_in_the_prompt(open_page):
    page = open_page()
    before = page.inner_text("#bars")
    page.fill("#prompt", "abcdef")
    until(lambda: page.inner_text("#bars") != before, lambda: page.inner_text("#bars"))
    changed = page.inner_text("#bars")
    page.press("#prompt", "Home")
    until(lambda: page.inner_text("#bars") != changed, lambda: page.inner_text("#bars"))


def test_escape_stops(open_page, monkeypatch):
    """A text that takes for ever is stopped; what was written stays, and the server stops writing too."""
    ended: list[bool] = []

    def endless(playground: Any, prompt: str, pieces: Any) -> Iterator[dict[str, Any]]:
        try:
            while True:
                yield {"text": "a", "chance": 0.5, "bars": [["a", 0.5]]}
        finally:
            ended.append(True)

    monkeypatch.setattr(answers.Playground, "_answers", endless)
    page = open_page()
    page.keyboard.press("Control+Enter")
    until(lambda: page.locator("#text > span").count() > 10, lambda: written(page))
    page.keyboard.press("Escape")
    until(lambda: page.is_disabled("#stop"), page.content)
    assert "stopped after" in page.inner_text("#status")
    count = page.locator("#text > span").count()
    until(lambda: bool(ended), page.content)
    assert page.locator("#text > span").count() == count


def test_unknown_characters_are_told_and_markup_is_text(open_page):
    page = open_page()
    page.fill("#prompt", "<b>")
    until(lambda: "'>'" in page.inner_text("#notice"), page.content)
    page.problems.clear()  # Chromium logs the status 400 of an answer
    page.fill("#prompt", "<b")
    until(lambda: page.inner_text("#notice") == "", page.content)
    write(page)
    assert written(page).startswith("<b")
    assert page.locator("#text b").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_never_scrolls_sideways(open_page, scheme):
    page = open_page(
        viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True, color_scheme=scheme
    )
    page.tap("#write")
    until(lambda: "done" in page.inner_text("#status"), lambda: page.inner_text("#status"))
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(23, 22, 20)") == (scheme == "dark")
