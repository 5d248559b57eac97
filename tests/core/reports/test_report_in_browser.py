"""The report in a real browser: its coloured text at both widths, in light, in dark and on paper."""

from __future__ import annotations

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
