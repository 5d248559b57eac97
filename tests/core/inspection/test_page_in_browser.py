"""The page in a real browser, from a file: units by keyboard, colours, expectations, a phone, the dark, a sandbox."""

from __future__ import annotations

from typing import Any

import pytest

from waiting import until

from pages import TEXT, UNITS, make  # isort: skip

COLOUR = "n => getComputedStyle(document.querySelectorAll('.c')[n]).backgroundColor"


def test_the_text_is_there_as_it_was(open_page: Any) -> None:
    page = open_page()
    assert page.evaluate("window.broken") is None
    shown = page.eval_on_selector_all(
        ".c", "all => all.map(c => c.querySelector('.mark') ? '' : c.textContent).join('')"
    )
    assert shown == TEXT.translate({ord(c): None for c in "\r\n\u202e"})
    assert page.locator(".line").count() == TEXT.count("\n") + 1
    assert page.locator(".mark", has_text="U+202E").count() == 1


def test_a_unit_is_chosen_by_keyboard_and_the_colours_change(open_page: Any) -> None:
    page = open_page()
    assert page.input_value("#unit") == "3"  # that of the first finding
    page.focus("#text")
    before = page.evaluate(COLOUR, 4)
    for _ in range(UNITS + 2):
        page.keyboard.press("ArrowUp")
    assert (page.input_value("#group"), page.input_value("#unit")) == ("0", "1")
    even, odd = page.evaluate(COLOUR, 4), page.evaluate(COLOUR, 5)
    assert len({before, even, odd}) == 3
    assert "= 1.00" in page.inner_text("#detail")
    page.keyboard.press("ArrowRight")
    assert "= −1.00" in page.inner_text("#detail")
    page.keyboard.press("PageDown")
    assert (page.input_value("#group"), page.input_value("#unit")) == ("1", "1")
    page.keyboard.press("s")
    assert page.is_checked("input[value=bits]")
    assert page.inner_text("#low") == "0 bits"


def test_a_unit_is_chosen_by_number_and_from_the_table(open_page: Any) -> None:
    page = open_page()
    page.select_option("#group", "0")
    page.fill("#unit", "99")
    page.press("#unit", "Enter")
    assert page.input_value("#unit") == str(UNITS - 1)
    page.click(".chip")
    assert (page.input_value("#group"), page.input_value("#unit")) == ("1", "3")
    assert page.get_attribute(".chip", "aria-pressed") == "true"
    page.click("td .link >> text='hidden[0] 1' >> nth=0")
    assert (page.input_value("#group"), page.input_value("#unit")) == ("0", "1")
    page.click("#back")
    before = page.evaluate(COLOUR, 0)
    page.check("#stretch")
    assert (page.inner_text("#middle"), page.evaluate(COLOUR, 0) == before) == ("+0.50", False)


def test_the_likeliest_stand_under_each_character(open_page: Any) -> None:
    page = open_page()
    page.focus("#text")
    page.keyboard.press("p")
    assert page.locator(".col").count() == len(TEXT)
    first = page.locator(".col >> nth=0").locator(".p")
    until(lambda: first.all_inner_texts() == ["a", "<b>", "</script>", "␣", "⏎"], first.all_inner_texts)
    likely, unlikely = page.eval_on_selector_all(
        ".col:first-child .p", "all => [all[0], all[4]].map(p => getComputedStyle(p).backgroundColor)"
    )[:2]
    assert likely != unlikely
    page.keyboard.press("End")
    assert f"character {len(TEXT):,} of {len(TEXT):,}" in page.inner_text("#detail")
    assert "50.0 %" in page.inner_text("#detail")


def test_a_click_tells_of_a_character(open_page: Any) -> None:
    page = open_page()
    page.click(".c >> nth=2")
    assert "character 3 of" in page.inner_text("#detail")
    assert "surprise 0.00 bits" in page.inner_text("#detail")
    page.click(".c >> nth=1")
    assert "probability 0" in page.inner_text("#detail")


@pytest.mark.parametrize("guesses", [False, True])
def test_a_phone_never_scrolls_sideways(open_page: Any, guesses: bool) -> None:
    page = open_page(viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    if guesses:
        page.check("#guesses")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.tap("#on")
    assert page.input_value("#unit") == "4"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_letters_are_legible_on_every_colour(open_page: Any, scheme: str) -> None:
    """Contrast of at least 4.5 to 1 (WCAG 2.2, 1.4.3) of the text on the full colours, in light and in dark."""
    page = open_page(color_scheme=scheme)
    page.select_option("#group", "0")
    page.fill("#unit", "1")
    page.press("#unit", "Enter")
    for n in (4, 5):
        ratio = page.evaluate(
            """n => {
                const paint = (colours) => {
                    const pen = Object.assign(document.createElement('canvas'), {width: 1, height: 1}).getContext('2d');
                    colours.forEach((colour) => { pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1); });
                    const light = [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3).map((c) => c / 255)
                        .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
                    return 0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2];
                };
                const style = getComputedStyle(document.querySelectorAll('.c')[n]);
                const under = getComputedStyle(document.body).backgroundColor;
                const [a, b] = [paint([under, style.backgroundColor]), paint([style.color])];
                return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
            }""",
            n,
        )
        assert ratio >= 4.5


def test_it_works_inside_a_sandboxed_frame(browser: Any) -> None:
    """As MLflow shows an HTML artifact: from a blob, in a frame that may run scripts and nothing else."""
    page = browser.new_page()
    page.evaluate(
        """html => {
            const frame = document.createElement('iframe');
            frame.sandbox = 'allow-scripts';
            frame.width = 900;
            frame.height = 600;
            frame.src = URL.createObjectURL(new Blob([html], {type: 'text/html'}));
            document.body.replaceChildren(frame);
        }""",
        make(),
    )
    frame = page.frame_locator("iframe")
    frame.locator("#on").click()
    assert frame.locator("#unit").input_value() == "4"
    page.close()


def test_a_counted_model_shows_surprise_alone(open_page: Any) -> None:
    page = open_page(make(units=0))
    assert page.inner_text("#low") == "0 bits"
    page.focus("#text")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("p")
    assert page.locator(".col .p").count() == 5 * len(TEXT)
