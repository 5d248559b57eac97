"""Chips in a real browser: their order, their examples, the side of the colours, and keys without a click."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chips import ABSENT, COUNTER, FALLING, FAINT, PLAIN, TEXT, is_on, make  # isort: skip

pytestmark = pytest.mark.e2e
COLUMNS = "all => all.map(chip => Number(chip.dataset.column))"
PLACES = "(name) => [...document.querySelectorAll('#text .c')].flatMap((c, n) => c.classList.contains(name) ? [n] : [])"
IN_SIGHT = """() => { const box = document.querySelector('#text').getBoundingClientRect();
  const now = document.querySelector('.c.now').getBoundingClientRect();
  return now.top >= box.top - 1 && now.bottom <= box.bottom + 1; }"""


def starts(unit: int) -> list[int]:
    on = is_on(unit).astype(int)
    return np.flatnonzero(np.diff(np.concatenate([[0], on])) > 0).tolist()


def chip(page: Any, unit: int) -> Any:
    return page.locator(f".chip[data-column='{unit}']").first


def now(page: Any) -> int:
    (place,) = page.evaluate(PLACES, "now")
    return place


def test_the_plainest_chip_is_first_and_one_without_an_example_last(open_page: Any) -> None:
    page = open_page(make())
    order = page.eval_on_selector_all(".chip", COLUMNS)
    assert set(order) == {PLAIN, FALLING, FAINT, COUNTER, ABSENT}  # the table's order is another
    assert set(order[:2]) == {PLAIN, FALLING} and order.index(FAINT) > 1 and order[-1] == ABSENT
    assert page.get_attribute(".chip >> nth=0", "aria-pressed") == "true"
    assert now(page) == starts(order[0])[0] and page.evaluate(IN_SIGHT)


@pytest.mark.parametrize("unit", [PLAIN, FALLING, FAINT])
def test_a_chip_leads_to_an_example_and_marks_where_the_signal_is_on(open_page: Any, unit: int) -> None:
    page = open_page(make(), viewport={"width": 900, "height": 500})
    page.evaluate("document.querySelector('#text').scrollTop = 1e6")
    chip(page, unit).click()
    assert page.evaluate(PLACES, "on") == np.flatnonzero(is_on(unit)).tolist()
    assert now(page) == starts(unit)[0] and page.evaluate(IN_SIGHT)
    assert page.inner_text("#which") == f"example 1 of {len(starts(unit))} in this text"
    line = page.eval_on_selector(".c.on", "one => getComputedStyle(one).textDecorationLine")
    assert "underline" in line


def test_next_and_previous_go_round(open_page: Any) -> None:
    page = open_page(make(), viewport={"width": 900, "height": 500})
    chip(page, PLAIN).click()
    wanted = starts(PLAIN)
    for place in wanted[1:4]:
        page.click("#later")
        assert now(page) == place and page.evaluate(IN_SIGHT)
    page.click("#earlier")
    assert now(page) == wanted[2]
    for _ in range(3):
        page.click("#earlier")
    assert now(page) == wanted[-1] and page.evaluate(IN_SIGHT)
    page.click("#later")
    assert now(page) == wanted[0]


def test_a_signal_that_is_not_in_the_text_says_so(open_page: Any) -> None:
    page = open_page(make())
    chip(page, ABSENT).click()
    assert page.inner_text("#which") == "no example in this text"
    assert page.is_disabled("#later") and page.is_disabled("#earlier") and not page.evaluate(PLACES, "on")


@pytest.mark.parametrize("unit", [PLAIN, FALLING])
@pytest.mark.parametrize("stretched", [False, True])
def test_orange_is_on_whether_the_unit_rises_or_falls(open_page: Any, unit: int, stretched: bool) -> None:
    page = open_page(make())
    chip(page, unit).click()
    if stretched:
        page.check("#stretch")
    on = np.flatnonzero(is_on(unit)).tolist()
    orange, blue = page.evaluate(PLACES, "pos"), page.evaluate(PLACES, "neg")
    if not (stretched and unit == PLAIN):  # its median is one of its two values, which then has no colour
        assert set(blue) <= set(range(len(TEXT))) - set(on)
    assert orange == on and not set(on) & set(blue)
    assert page.inner_text("#high").endswith("orange: on")
    red, _, blueness = page.evaluate(
        "n => getComputedStyle(document.querySelectorAll('#text .c')[n]).backgroundColor.match(/[0-9.]+/g)",
        on[0],
    )[:3]
    assert float(red) > float(blueness)


@pytest.mark.parametrize("unit", [PLAIN, FALLING, FAINT, COUNTER, ABSENT])
def test_stretched_values_stay_within_what_the_unit_can_be(open_page: Any, unit: int) -> None:
    page = open_page(make())
    chip(page, unit).click()
    page.check("#stretch")
    ends = [page.inner_text(f"#{end}").split(" ")[0].replace("−", "-") for end in ("low", "middle", "high")]
    assert all(-1 <= float(end) <= 1 for end in ends)


def test_another_unit_is_not_said_to_tell_the_chips_signal(open_page: Any) -> None:
    page = open_page(make())
    chip(page, FALLING).click()
    page.click(f"td:last-child .link[data-column='{COUNTER}'] >> nth=0")
    assert "orange: on" not in page.inner_text("#high") and page.evaluate(PLACES, "on") == []
    assert page.locator(".chip[aria-pressed=true]").count() == 0 and page.is_hidden("#examples")
    chip(page, FALLING).click()
    page.click("#on")
    assert "orange: on" not in page.inner_text("#high") and page.evaluate(PLACES, "on") == []


def test_keys_work_without_a_click_and_after_one_on_a_button(open_page: Any) -> None:
    page = open_page(make())
    began, unit = now(page), int(page.input_value("#unit"))
    assert page.evaluate("document.activeElement === document.body")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert now(page) == began + 1
    page.keyboard.press("ArrowDown")
    assert page.input_value("#unit") == str(unit + 1)
    page.keyboard.press("s")
    assert page.is_checked("input[value=bits]")
    chip(page, PLAIN).click()
    page.keyboard.press("End")
    assert now(page) == len(TEXT) - 1
    page.keyboard.press("p")
    assert page.is_checked("#guesses")


def test_a_control_keeps_the_keys_that_it_uses(open_page: Any) -> None:
    page = open_page(make())
    began = now(page)
    page.focus("#unit")
    page.keyboard.press("ArrowLeft")
    page.focus("#group")
    page.keyboard.press("End")
    page.focus("input[value=unit]")
    page.keyboard.press("ArrowRight")
    assert page.is_checked("input[value=bits]") and now(page) == began
    page.focus("[role=region]")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Control+ArrowRight")
    assert now(page) == began


def test_a_card_of_the_gallery_leads_to_its_piece_of_the_text(open_page: Any) -> None:
    page = open_page(make(), viewport={"width": 900, "height": 700})
    order = page.eval_on_selector_all(".card .link", COLUMNS)
    assert order == page.eval_on_selector_all(".chip", COLUMNS)[: len(order)] and ABSENT not in order
    for place, unit in enumerate(order):
        card = page.locator(".card").nth(place)
        first = int(card.locator(".link").get_attribute("data-at"))
        assert card.locator(".piece").text_content() == TEXT[first : first + 200]
        card.locator(".link").click()
        assert page.input_value("#unit") == str(unit) and page.is_checked("#stretch")
        assert first <= now(page) < first + 200 or is_on(unit)[first]
        assert page.evaluate(PLACES, "on") == np.flatnonzero(is_on(unit)).tolist() and page.evaluate(IN_SIGHT)
        pressed = page.locator(".chip[aria-pressed=true]")
        assert pressed.count() == 1 and pressed.get_attribute("data-column") == str(unit)


@pytest.mark.parametrize("unit", [PLAIN, FALLING, FAINT])
def test_a_card_is_coloured_as_the_text_is_after_a_click_on_it(open_page: Any, unit: int) -> None:
    page = open_page(make())
    card = page.locator(f".card:has(.link[data-column='{unit}'])")
    first = int(card.locator(".link").get_attribute("data-at"))
    card.locator(".link").click()
    there = page.eval_on_selector_all(
        "#text .c", "all => all.map(one => getComputedStyle(one).backgroundColor)"
    )[first : first + 200]
    here = card.locator(".piece span").evaluate_all(
        "all => all.map(one => getComputedStyle(one).backgroundColor)"
    )
    close = [here_one == there_one for here_one, there_one in zip(here, there, strict=True)]
    assert all(close) and len(set(here)) > 1


def test_the_gallery_fits_a_phone_and_needs_no_script(browser: Any, tmp_path: Any) -> None:
    file = tmp_path / "page.html"
    file.write_text(make(), encoding="utf-8")
    page = browser.new_page(viewport={"width": 360, "height": 740}, java_script_enabled=False)
    page.goto(file.as_uri())
    boxes = [card.bounding_box() for card in page.locator(".card").all()]
    shown = page.locator(".card .piece").first.text_content()
    page.close()
    assert boxes and all(box["x"] >= 0 and box["x"] + box["width"] <= 360 for box in boxes)
    assert shown and shown in TEXT


def test_paper_has_the_whole_text_and_table_and_no_controls(open_page: Any) -> None:
    page = open_page(make(), viewport={"width": 680, "height": 900})  # an A4 page without its margins
    page.emulate_media(media="print")
    box = page.eval_on_selector(
        "#text", "one => [one.scrollHeight - one.clientHeight, getComputedStyle(one).overflowY]"
    )
    right = page.eval_on_selector_all("table", "all => all.map(one => one.getBoundingClientRect().right)")
    shown = page.eval_on_selector_all(
        ".controls, .chips, .stepper, .detail, .keys",
        "all => all.filter(one => getComputedStyle(one).display !== 'none').length",
    )
    exact = page.eval_on_selector("#text .c", "one => getComputedStyle(one).printColorAdjust")
    assert box[0] <= 1 and box[1] == "visible" and exact == "exact"
    assert right and max(right) <= 681 and shown == 0
