from __future__ import annotations

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from charpipe.reports.charts import Axes, Line, ReferenceLine, chart

AXES = Axes("step", "bits & pieces")
numbers = st.floats(allow_nan=True, allow_infinity=True) | st.integers(-5, 5).map(float)


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
