from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charpipe.pages.charts import Axes, Line, ReferenceLine, chart, document

AXES = Axes("step", "bits & pieces")
numbers = st.floats(allow_nan=True, allow_infinity=True) | st.integers(-5, 5).map(float)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**9).map(float), numbers), max_size=50))
def test_any_points_make_a_whole_drawing_or_none(points):
    drawn = chart([Line("a<b", 1, sorted(points, key=lambda p: p[0]))], AXES)
    if drawn is not None:
        assert "nan" not in str(drawn).partition(">")[2].lower()
        ElementTree.fromstring(str(drawn))


def test_a_curve_and_a_level_are_drawn_and_named():
    drawn = str(chart([Line("val", 1, [(1, 4.0), (2, 2.0)])], AXES, [ReferenceLine("xz", 3.0)]))
    assert "polyline" in drawn and ">xz<" in drawn and "bits &amp; pieces" in drawn


def test_a_long_curve_is_thinned():
    drawn = str(chart([Line("val", 1, [(float(n), 1.0 + n) for n in range(100_000)])], AXES))
    assert len(drawn) < 30_000


def test_nothing_to_draw_is_none():
    assert chart([Line("val", 1, [])], AXES) is None


@settings(deadline=None)
@given(st.lists(st.tuples(numbers, numbers), max_size=20))
def test_any_band_makes_a_whole_drawing(ends):
    band = [(float(n), *pair) for n, pair in enumerate(ends)]
    drawn = str(chart([Line("val", 1, [(1, 4.0), (2, 2.0)], band)], AXES))
    assert "nan" not in drawn.partition(">")[2].lower() and "inf" not in drawn
    ElementTree.fromstring(drawn)


def test_a_band_lies_within_the_chart():
    drawn = str(chart([Line("val", 1, [(1, 4.0), (2, 4.0)], [(1, 0.0, 8.0), (2, 3.0, 5.0)])], AXES))
    (band,) = ElementTree.fromstring(drawn).findall("polygon")
    heights = [float(corner.split(",")[1]) for corner in band.attrib["points"].split()]
    assert len(heights) == 4 and 0 < min(heights) < max(heights) < 320


def test_a_band_of_many_points_is_thinned():
    band = [(float(n), 1.0, 2.0 + n) for n in range(100_000)]
    assert len(str(chart([Line("val", 1, [(1, 4.0), (2, 2.0)], band)], AXES))) < 50_000


def test_many_curves_differ_in_their_style_and_have_a_legend_below():
    lines = [Line(f"lstm {n}", n, [(1, 4.0), (2, 2.0 + n)]) for n in range(1, 38)]
    drawn = chart(lines, AXES, [ReferenceLine("ngram", 3.0)])
    svg = ElementTree.fromstring(str(drawn))
    assert len({line.style for line in lines}) == len(lines) == len(svg.findall("polyline"))
    names = [text for text in svg.findall("text") if "listed" in text.attrib["class"]]
    assert [text.text for text in names] == [*(line.name for line in lines), "ngram"]
    assert all(320 < float(text.attrib["y"]) < drawn.height for text in names)
    few = chart(lines[:3], AXES)
    assert few.height == 320 and "listed" not in str(few)


def test_a_document_is_one_file_with_its_style():
    drawn = chart([Line("val", 1, [(1, 4.0), (2, 2.0)])], AXES)
    svg = ElementTree.fromstring(document(drawn, "a < b & c"))
    space = "{http://www.w3.org/2000/svg}"
    assert svg.tag == f"{space}svg" and svg.find(f"{space}text").text == "a < b & c"
    style = svg.find(f"{space}style").text
    assert "--one" in style and "prefers-color-scheme: dark" in style and ".curve" in style
    assert svg.attrib["aria-label"].startswith("a < b & c. bits & pieces over step: val from 4 to 2")
    for where in ("url(", "@import", "href", "<script"):
        assert where not in document(drawn, "a")


def test_long_names_leave_room_for_the_curves():
    for length in (40, 400):
        drawn = chart([Line("x" * length, 1, [(1, 4.0), (2, 2.0)])], AXES)
        svg = ElementTree.fromstring(str(drawn))
        ends = [float(point.split(",")[0]) for point in svg.find("polyline").attrib["points"].split()]
        assert ends[1] - ends[0] > 600
        (name,) = [text for text in svg.findall("text") if "listed" in text.attrib["class"]]
        assert len(name.text) == min(length, 80) and float(name.attrib["x"]) < 120


def test_times_are_marked_at_whole_minutes():
    axes = Axes("time", "loss", lambda seconds: f"<{seconds:g}>", time=True)
    drawn = str(chart([Line("val", 1, [(0.0, 4.0), (352.0, 2.0)])], axes))
    marked = [float(found) for found in re.findall(r"&lt;([\d.]+)&gt;", drawn)]
    assert marked == [0, 120, 240]


@pytest.mark.parametrize("seconds", [1e-3, 0.5, 3.0, 7.0, 80.0, 4000.0, 1e6, 1e9])
def test_a_time_axis_has_few_and_equal_steps(seconds):
    axes = Axes("time", "loss", lambda value: f"<{value!r}>", time=True)
    drawn = str(chart([Line("val", 1, [(0.0, 4.0), (seconds, 2.0)])], axes))
    marked = [float(found) for found in re.findall(r"&lt;(.*?)&gt;", drawn)]
    assert 1 <= len(marked) <= 6 and marked == sorted(set(marked))


def test_a_label_that_was_moved_is_tied_to_its_line():
    levels = [ReferenceLine("xz", 1.44), ReferenceLine("zstd", 1.48), ReferenceLine("far", 5.0)]
    drawn = str(chart([Line("val", 1, [(1, 7.0), (2, 2.8)])], AXES, levels))
    leaders = [float(y) for y in re.findall(r'class="leader"[^>]* y1="([\d.]+)"', drawn)]
    heights = [float(y) for y in re.findall(r'class="level"[^>]* y1="([\d.]+)"', drawn)]
    assert leaders and set(leaders) <= set(heights[:2])
