"""Charts as a browser draws them: every label whole, and none over another."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

import charpipe.pages
from charpipe.pages.charts import Axes, Line, ReferenceLine, chart

pytestmark = pytest.mark.e2e
STYLES = Path(charpipe.pages.__file__).parent / "templates"
NAMES = ("xz after training", "zstd after training", "xz", "zstd")
BOXES = """all => all.map(one => { const svg = one.ownerSVGElement.getBoundingClientRect(),
  box = one.getBoundingClientRect();
  return {name: one.textContent, left: box.left - svg.left, right: svg.right - box.right,
          bottom: svg.bottom - box.bottom, top: box.top - svg.top, y: box.top,
          height: box.height, width: box.width}; })"""


@pytest.mark.parametrize("width", [1200, 390])
def test_labels_are_whole_and_apart(browser, width):
    levels = [ReferenceLine(name, 1.5 + n / 100) for n, name in enumerate(NAMES)]
    drawn = chart([Line("validation", 1, [(1, 4.0), (20, 1.5)])], Axes("step", "bits per character"), levels)
    style = "".join((STYLES / name).read_text() for name in ("base.css", "charts.css", "report.css"))
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.set_content(f"<style>{style}</style><main><figure>{drawn}</figure></main>")
    boxes = page.eval_on_selector_all("svg text", BOXES)
    page.close()
    assert {*NAMES, "validation"} <= {box["name"] for box in boxes}
    assert all(min(box["left"], box["right"], box["bottom"]) >= 0 for box in boxes), [
        box for box in boxes if min(box["left"], box["right"], box["bottom"]) < 0
    ]
    labels = sorted((box for box in boxes if box["name"] in (*NAMES, "validation")), key=lambda box: box["y"])
    for above, below in pairwise(labels):
        assert below["y"] - above["y"] >= 0.8 * above["height"], (above, below)


CURVES = {
    "learning rate": [(1, 0.006), (75, 0.0031), (150, 0.0)],
    "small values": [(1, 9e-5), (10, 1e-5)],
    "large values": [(1, 123_000.0), (10, 62_658.0)],
    "training": [(0, 2.5), (3, 2.5)],
}


@pytest.mark.parametrize("width", [1200, 390])
@pytest.mark.parametrize("name", CURVES)
def test_no_text_is_cut_and_no_tick_lies_over_the_title_of_its_axis(browser, width, name):
    drawn = chart([Line(name, 3, CURVES[name])], Axes("step", "learning rate"))
    style = "".join((STYLES / file).read_text() for file in ("base.css", "charts.css", "report.css"))
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.set_content(f"<style>{style}</style><main><figure>{drawn}</figure></main>")
    boxes = page.eval_on_selector_all("svg text", BOXES)
    title = page.eval_on_selector("svg text[transform]", "one => one.getBoundingClientRect().right")
    ticks = page.eval_on_selector_all(
        "svg text.tick[text-anchor=end]", "all => all.map(one => one.getBoundingClientRect().left)"
    )
    page.close()
    cut = [box for box in boxes if min(box["left"], box["right"], box["bottom"], box["top"]) < 0]
    assert name in {box["name"] for box in boxes} and not cut
    assert ticks and min(ticks) >= title


@pytest.mark.parametrize("width", [1200, 390])
def test_names_of_a_legend_are_whole_and_apart(browser, width):
    names = [f"lstm {n // 4}x{64 * 2 ** (n % 4)}" for n in range(24)] + ["ngram order 20 (counted)"]
    lines = [Line(name, n + 1, [(1, 4.0), (20, 1.5 + n / 20)]) for n, name in enumerate(names)]
    drawn = chart(lines, Axes("step", "bits per character"))
    style = "".join((STYLES / name).read_text() for name in ("base.css", "charts.css", "report.css"))
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.set_content(f"<style>{style}</style><main><figure>{drawn}</figure></main>")
    boxes = page.eval_on_selector_all("svg text.listed", BOXES)
    page.close()
    assert [box["name"] for box in boxes] == names
    assert all(min(box["left"], box["right"], box["bottom"]) >= 0 for box in boxes)
    columns = sorted({round(box["left"], 3) for box in boxes})
    for left, right in pairwise(columns):
        assert all(left + box["width"] < right for box in boxes if round(box["left"], 3) == left)
    for column in columns:
        rows = sorted(box["y"] for box in boxes if round(box["left"], 3) == column)
        assert all(below - above >= 0.8 * boxes[0]["height"] for above, below in pairwise(rows))
