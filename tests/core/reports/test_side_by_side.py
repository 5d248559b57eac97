from __future__ import annotations

from charpipe.reports.history import Point
from charpipe.reports.side_by_side import side_by_side, sparkline


def test_scores_stand_beside_each_other_and_only_differing_settings(make_run):
    one = make_run()
    two = make_run(
        "20261123-1042-hello-gru-aaaa", architecture="gru", settings={"train.batch_size": 4, "train.steps": 9}
    )
    two.update(metrics={"val/bits_per_char": 2.0})
    found = side_by_side([one, two])
    assert found.titles == ["lstm 1x8 · 7f3a", "gru 1x8 · aaaa"]
    assert found.scores["val/bits_per_char"] == [2.1, 2.0]
    assert found.scores["test/bits_per_char"] == [2.2, None]
    assert found.settings == {"arch": ["lstm", "gru"], "train.steps": [20, 9]}
    assert found.as_json()["curves"][0][-1] == [20, 19.0, 2.0]


def test_a_sparkline_falls_as_its_curve_does():
    points = [Point(n, n, 100.0 - n) for n in range(100)]
    line = sparkline(points, 1.0, 100.0)
    assert len(line) == 32 and line[0] == "█" and line[-1] == "▁"
    assert list(line) == sorted(line, reverse=True)
    assert sparkline(points[:1], 5.0, 5.0) and not sparkline([], 0.0, 1.0)
