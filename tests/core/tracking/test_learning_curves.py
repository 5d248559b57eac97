"""The charts of a comparison in MLflow."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from charpipe.reports.history import Point
from charpipe.tracking.learning_curves import draw

SVG = "{http://www.w3.org/2000/svg}"


def curve(*values: float) -> list[Point]:
    return [Point(10 * n, 2.5 * n, value) for n, value in enumerate(values)]


@pytest.mark.parametrize("across", ["step", "seconds"])
def test_seeds_are_a_mean_with_a_band_and_a_counted_model_is_a_level(across: str) -> None:
    drawn = draw({"rnn 1x8": [curve(4, 3, 2), curve(4, 2, 1)], "ngram": [curve(2.5)], "empty": [[]]}, across)
    assert drawn is not None
    svg = ElementTree.fromstring(drawn)
    assert len(svg.findall(f".//{SVG}polyline")) == len(svg.findall(f".//{SVG}polygon")) == 1
    assert len([line for line in svg.iter(f"{SVG}line") if line.attrib["class"] == "level"]) == 1
    texts = {text.text for text in svg.iter(f"{SVG}text")}
    assert {"rnn 1x8", "ngram (count-based)"} <= texts and "empty" not in texts
    assert "Learning curves (mean over 2 seeds, band: ± one standard deviation)" in texts
    assert "rnn 1x8 from 4 to 1.5" in svg.attrib["aria-label"]


def test_one_seed_has_no_band() -> None:
    drawn = draw({"rnn 1x8": [curve(4, 3, 2)]}, "step")
    assert drawn is not None and "<polygon" not in drawn and ">Learning curves<" in drawn


def test_without_a_curve_there_is_no_chart() -> None:
    assert draw({"ngram": [curve(2.5)], "rnn": []}, "step") is None
