from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charpipe.reports.charts import Axes, Level, Line, chart

AXES = Axes("step", "bits & pieces")
numbers = st.floats(allow_nan=True, allow_infinity=True) | st.integers(-5, 5).map(float)


@given(st.lists(st.tuples(st.integers(0, 10**9).map(float), numbers), max_size=50))
def test_any_points_make_a_whole_drawing_or_none(points):
    drawn = chart([Line("a<b", 1, sorted(points, key=lambda p: p[0]))], AXES)
    if drawn is not None:
        assert "nan" not in str(drawn).partition(">")[2].lower()
        ElementTree.fromstring(str(drawn))


def test_a_curve_and_a_level_are_drawn_and_named():
    drawn = str(chart([Line("val", 1, [(1, 4.0), (2, 2.0)])], AXES, [Level("xz", 3.0)]))
    assert "polyline" in drawn and ">xz<" in drawn and "bits &amp; pieces" in drawn


def test_a_long_curve_is_thinned():
    drawn = str(chart([Line("val", 1, [(float(n), 1.0 + n) for n in range(100_000)])], AXES))
    assert len(drawn) < 30_000


def test_nothing_to_draw_is_none():
    assert chart([Line("val", 1, [])], AXES) is None


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
    levels = [Level("xz", 1.44), Level("zstd", 1.48), Level("far", 5.0)]
    drawn = str(chart([Line("val", 1, [(1, 7.0), (2, 2.8)])], AXES, levels))
    leaders = [float(y) for y in re.findall(r'class="leader"[^>]* y1="([\d.]+)"', drawn)]
    heights = [float(y) for y in re.findall(r'class="level"[^>]* y1="([\d.]+)"', drawn)]
    assert leaders and set(leaders) <= set(heights[:2])
