"""A passage is selected on the page by keyboard, mouse and touch; its units and other passages with them are listed."""

from __future__ import annotations

from typing import Any

import numpy as np

from charpipe.inspection.matches import find
from charpipe.inspection.packing import scaling
from charpipe.inspection.patterns import levels, pattern_of
from waiting import until

from chips import PLAIN, TEXT, make, reading  # isort: skip

QUOTED = TEXT.index('"good')
LAST = TEXT.index('" now') - 1
"""The passage between the quotes of the first line, throughout which the plain unit is on."""


def select(page: Any, first: int, last: int) -> None:
    page.focus("#text")
    page.keyboard.press("Home")
    for _ in range(first):
        page.keyboard.press("ArrowRight")
    for _ in range(last - first):
        page.keyboard.press("Shift+ArrowRight")


def scores(page: Any) -> list[str]:
    return [text.split("\n")[0] for text in page.locator(".match-row .score:first-child").all_inner_texts()]


def test_passage_by_keyboard_lists_units_and_passages(open_page: Any) -> None:
    page = open_page(make())
    assert page.is_hidden("#passage")
    select(page, QUOTED, LAST)
    assert page.inner_text("#passage-where") == f"characters {QUOTED + 1} to {LAST + 1}"
    assert page.inner_text("#passage-text").replace("\u2423", " ") == '"good morning'
    assert f"cell[0] {PLAIN} rises" in page.inner_text("#passage-units")
    assert page.locator("#text .c.in").count() == LAST - QUOTED + 1
    rows = page.locator(".match-row")
    assert rows.count() == 20
    assert all("good morning" in text for text in rows.all_inner_texts())
    assert page.inner_text("#passage-command").endswith(f"--passage {QUOTED + 1}:{LAST + 1}")
    rows.nth(0).click()
    assert "character 56 of" in page.inner_text("#detail")  # the quote of the second line
    page.keyboard.press("Escape")
    assert page.is_hidden("#passage") and page.locator("#text .c.in").count() == 0


def test_page_finds_what_the_search_of_a_corpus_finds(open_page: Any) -> None:
    """Units, places and scores of the page equal those computed in Python, at two thresholds."""
    page, read = open_page(make()), reading()
    for threshold, last in ((0.5, QUOTED + 4), (0.3, QUOTED + 9)):
        select(page, QUOTED, last)
        page.locator("#level").evaluate(
            f"e => {{ e.value = {threshold}; e.dispatchEvent(new Event('input')) }}"
        )
        usual = levels(read.units, scaling(read.units, read.groups), threshold)
        wanted = pattern_of(usual.directions(read.units), QUOTED, last, last - QUOTED + 1)
        assert wanted is not None
        shown = page.locator("#passage-units input").evaluate_all("all => all.map(one => Number(one.value))")
        assert sorted(shown) == list(wanted.columns)
        found, _ = find(
            Replayed(read.units), {"val": np.arange(len(TEXT))}, wanted, usual, 20, itself=("val", QUOTED)
        )
        assert scores(page) == [f"{one.score:.3f}" for one in found]


class Replayed:
    """A model of which the units at the n-th token are those of a reading, for tokens that are their own places."""

    vocabulary_size = 2

    def __init__(self, units: np.ndarray) -> None:
        self.units = units

    def initial_state(self, batch_size):
        import torch

        return {"cell": torch.zeros(1, batch_size, self.units.shape[1])}

    def step(self, ids, state):
        import torch

        return torch.zeros(len(ids), 2), {"cell": torch.from_numpy(self.units)[ids][None]}


def test_units_can_be_left_out(open_page: Any) -> None:
    page = open_page(make())
    select(page, QUOTED, QUOTED + 2)
    boxes = page.locator("#passage-units input")
    while page.locator("#passage-units input:checked").count():
        page.locator("#passage-units input:checked").first.click()  # the list is made anew
    assert boxes.count() >= 1 and page.locator(".match-row").count() == 0
    boxes.first.click()
    assert "1 of 1" in page.locator(".match-row").first.inner_text()


def test_passage_by_mouse_and_by_selection_of_the_browser(open_page: Any) -> None:
    page = open_page(make())
    page.locator(".c").nth(QUOTED + 6).scroll_into_view_if_needed()
    box = page.locator(".c").nth(QUOTED).bounding_box()
    end = page.locator(".c").nth(QUOTED + 6).bounding_box()
    assert box is not None and end is not None
    page.mouse.move(box["x"] + 1, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(end["x"] + end["width"] - 1, end["y"] + end["height"] / 2, steps=5)
    page.mouse.up()
    where = page.locator("#passage-where")
    until(lambda: where.inner_text() == f"characters {QUOTED + 1} to {QUOTED + 7}", where.inner_text)
    page.locator("#clear").click()
    assert page.is_hidden("#passage")


def test_passage_on_a_phone_fits_and_no_unit_is_said(open_page: Any) -> None:
    page = open_page(make(), viewport={"width": 360, "height": 640}, has_touch=True, color_scheme="dark")
    select(page, 0, 50)
    page.locator("#level").evaluate("e => { e.value = 1; e.dispatchEvent(new Event('input')) }")
    assert "No unit is on throughout" in page.inner_text("#passage-count")
    assert page.locator(".match-row").count() == 0
    select(page, QUOTED, LAST)
    assert page.locator(".match-row").count() > 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
