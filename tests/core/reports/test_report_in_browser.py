"""The report in a real browser: its coloured text at both widths, in light, in dark and on paper."""

from __future__ import annotations

import json

import pytest

from charpipe.reports.report import report

pytestmark = pytest.mark.e2e
COLOURS = "all => all.map(one => getComputedStyle(one).backgroundColor)"


@pytest.fixture
def page_file(make_run, tmp_path):
    run = make_run()
    pieces = [*"What? ", *"A long line of text. " * 20]
    bits = [None, *((n % 9) + 0.25 for n in range(1, len(pieces)))]
    run.keep_result("evaluate", "x", {"surprise": {"split": "val", "pieces": pieces, "bits": bits}})
    file = tmp_path / "report.html"
    file.write_text(report(run), encoding="utf-8")
    return file


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_the_more_surprising_the_deeper_the_colour(browser, page_file, width, scheme):
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto(page_file.as_uri())
    colours = page.eval_on_selector_all(".surprise span", COLOURS)
    scale = page.eval_on_selector(".legend i", "one => getComputedStyle(one).backgroundImage")
    fits = page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()
    assert len(set(colours[:9])) == 9 and colours[8] == colours[17]  # 8.25 bits and more are full
    assert "gradient" in scale and fits


def test_it_is_whole_and_coloured_on_paper(browser, page_file):
    page = browser.new_page(viewport={"width": 390, "height": 900})
    page.goto(page_file.as_uri())
    page.emulate_media(media="print")
    hidden = page.eval_on_selector(".surprise", "one => one.scrollHeight - one.clientHeight")
    exact = page.eval_on_selector(".surprise span", "one => getComputedStyle(one).printColorAdjust")
    page.close()
    assert hidden <= 1 and exact == "exact"


def test_all_samples_and_details_are_on_paper(browser, page_file):
    """What is folded on the screen, or shown one at a time, cannot be opened on paper."""
    page = browser.new_page(viewport={"width": 1000, "height": 900}, color_scheme="dark")
    page.goto(page_file.as_uri())
    page.pdf()  # fires `beforeprint`
    page.emulate_media(media="print", color_scheme="dark")
    closed = page.eval_on_selector_all("details", "all => all.filter(one => !one.open).length")
    samples = page.eval_on_selector_all(
        ".sample", "all => all.map(one => one.getBoundingClientRect().height)"
    )
    stepper = page.eval_on_selector(".stepper", "one => getComputedStyle(one).display")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    headings = page.eval_on_selector_all("h2, h3", "all => all.map(one => getComputedStyle(one).breakAfter)")
    page.close()
    assert closed == 0 and len(samples) > 1 and min(samples) > 20
    assert stepper == "none" and paper == "rgb(255, 255, 255)" and set(headings) == {"avoid"}


def shown(page) -> str:
    return page.eval_on_selector_all(
        ".sample", "all => all.filter(one => one.offsetHeight).map(one => one.dataset.step).join()"
    )


@pytest.fixture
def samples_page(browser, make_run, tmp_path):
    """Three samples: the second differs from the first in one word, the third has an emoji more."""
    run = make_run()
    texts = ["the cat\nsat 😀 <b>", "the dog\nsat 😀 <b>", "the dog\nsat 😀 <b>🙂"]
    samples = [{"step": n, "prompt": "h", "text": text} for n, text in zip((1, 10, 20), texts, strict=True)]
    run.samples_file.write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    file = tmp_path / "report.html"
    file.write_text(report(run), encoding="utf-8")
    page = browser.new_page(viewport={"width": 390, "height": 900})
    page.goto(file.as_uri())
    yield page
    page.close()


def test_changed_characters_are_marked(samples_page):
    def marked() -> list[str]:
        return samples_page.eval_on_selector_all(
            ".now mark", "all => all.filter(one => one.offsetHeight).map(one => one.textContent)"
        )

    text = "document.querySelector('.now .text').textContent"
    assert marked() == ["🙂"] and samples_page.evaluate(text) == "the dog\nsat 😀 <b>🙂"
    samples_page.focus("#back")
    samples_page.keyboard.press("ArrowLeft")
    assert marked() == ["dog"] and samples_page.evaluate(text) == "the dog\nsat 😀 <b>"
    assert samples_page.inner_text("#changed") == "18 % of the characters differ from step 1"
    colour = "getComputedStyle(document.querySelector('.now mark')).boxShadow"
    assert samples_page.evaluate(colour) != "none"
    samples_page.uncheck("#marks")
    assert samples_page.evaluate(colour) == "none"
    samples_page.keyboard.press("Home")
    assert marked() == [] and shown(samples_page) == "1"


def test_samples_play_from_the_first_step_to_the_last(samples_page):
    assert shown(samples_page) == "20"
    samples_page.clock.install()
    samples_page.click("#play")
    assert shown(samples_page) == "1" and samples_page.get_attribute("#play", "aria-label") == "pause"
    samples_page.clock.run_for(1000)
    assert shown(samples_page) == "10"
    samples_page.clock.run_for(1000)
    assert shown(samples_page) == "20"
    assert samples_page.get_attribute("#play", "aria-label") == "play the samples"


def test_a_step_by_hand_stops_the_playing(samples_page):
    samples_page.clock.install()
    samples_page.click("#play")
    samples_page.keyboard.press("ArrowRight")
    samples_page.clock.run_for(10_000)
    assert shown(samples_page) == "10"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_player_fits_a_phone(browser, page_file, scheme):
    page = browser.new_page(viewport={"width": 360, "height": 700}, color_scheme=scheme)
    page.goto(page_file.as_uri())
    buttons = page.eval_on_selector_all(
        ".stepper button",
        "all => all.map(one => one.getBoundingClientRect()).map(one => [one.width, one.height])",
    )
    fits = page.evaluate("document.documentElement.scrollWidth") <= 360
    page.close()
    assert fits and len(buttons) == 3 and all(min(size) >= 40 for size in buttons)
