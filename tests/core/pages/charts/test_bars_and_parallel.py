from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charpipe.pages.charts import Axis, Bar, Row, bars, document, parallel


def test_bars_are_as_long_as_their_values() -> None:
    chart = bars([Bar("train.<rate>", 0.6, "60 %"), Bar("dropout", 0.3, "30 %")], "importance")
    assert chart is not None and chart.label == "importance: train.<rate> 60 %; dropout 30 %"
    long, short = (float(width) for width in re.findall(r'<rect[^>]* width="([\d.]+)"', chart.body))
    assert short == pytest.approx(long / 2, abs=0.1)
    assert "train.&lt;rate&gt;" in chart.body
    assert bars([], "nothing") is None and bars([Bar("a", 0.0, "0 %")], "nothing") is None


def test_a_line_crosses_each_axis_at_its_value() -> None:
    axes = [
        Axis("train.learning_rate", [0.001, 0.01, 0.1], logarithmic=True),
        Axis("optimizer", [0, 1, 1], words=["adam", "sgd"]),
        Axis("val/loss", [1.0, 2.0, 3.0]),
    ]
    rows = [Row("best", True), Row("second", False), Row("third", False)]
    chart = parallel(axes, rows, "three trials")
    assert chart is not None
    lines = re.findall(r'<polyline class="([^"]+)" points="([^"]+)"><title>([^<]+)', chart.body)
    assert [name for _, _, name in lines] == ["second", "third", "best"]  # the best is drawn over the others
    assert ["c2" in style for style, _, _ in lines] == [False, False, True]
    ys = {name: [float(point.split(",")[1]) for point in points.split()] for _, points, name in lines}
    assert ys["best"][0] - ys["second"][0] == pytest.approx(ys["second"][0] - ys["third"][0], abs=0.2)
    assert ys["second"][1] == ys["third"][1] < ys["best"][1]
    assert ys["best"][2] > ys["second"][2] > ys["third"][2]
    assert "adam" in chart.body and "learning_" in chart.body


def test_there_is_no_picture_of_nothing() -> None:
    assert parallel([Axis("a", []), Axis("b", [])], [], "none") is None
    assert parallel([Axis("a", [1.0])], [Row("one", True)], "one axis") is None


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=6), st.text(max_size=40))
def test_a_picture_of_any_values_is_xml(values: list[float], name: str) -> None:
    axes = [Axis(f"a{name}", values), Axis("b", [0.0] * len(values), words=[name])]
    chart = parallel(axes, [Row(name, False) for _ in values], name)
    assert chart is not None
    if all(char.isprintable() for char in name):
        ElementTree.fromstring(document(chart, "title"))
