"""The live view shows the losses as sparklines."""

from __future__ import annotations

import io
import math

import pytest
from rich.console import Console

from charpipe.cli.views.live import LiveView
from charpipe.cli.views.progress import Progress
from charpipe.cli.views.sparkline import POINTS, Curve, sparkline
from charpipe.cli.views.training import TrainingProgress
from charpipe.events import Evaluated, Reported, Sampled, StagesPlanned, StageStarted, Step, TrainingStarted


def test_a_falling_loss_falls_in_its_sparkline() -> None:
    assert sparkline([8, 7, 6, 5, 4, 3, 2, 1], 8) == "█▇▆▅▄▃▂▁"
    assert sparkline([4.0, 2.0], 24) == "█▁"


def test_a_long_curve_is_averaged_into_its_columns() -> None:
    assert sparkline([3, 5, 1, 1, 0, 0], 3) == "█▃▁"
    assert len(sparkline(list(range(1000)), 24)) == 24


@pytest.mark.parametrize("values", [[], [math.nan], [math.inf, math.nan]])
def test_a_curve_without_numbers_is_empty(values: list[float]) -> None:
    assert sparkline(values, 10) == ""


def test_an_even_curve_is_a_line() -> None:
    assert sparkline([2.0] * 5, 5) == "▁▁▁▁▁"


def losses(progress: TrainingProgress, count: int) -> None:
    for step in range(1, count + 1):
        progress.take(Reported(step, {"train/loss": 4 / step}))
        if step % 2 == 0:
            progress.take(Evaluated(step, {"train/loss": 4 / step, "val/loss": 5 / step}))


def test_there_is_no_curve_of_one_value() -> None:
    progress = TrainingProgress()
    losses(progress, 1)
    assert progress.curves() == ""


def test_curves_of_training_and_validation_have_their_newest_value() -> None:
    progress = TrainingProgress()
    losses(progress, 40)
    train, val = progress.curves().removeprefix("loss  ").split("   ")
    assert train.startswith("train █") and train.endswith("▁ 0.100") and len(train.split()[1]) == 24
    assert val.startswith("val █") and val.endswith("▁ 0.125") and len(val.split()[1]) == 20


def test_a_long_training_keeps_its_whole_curve() -> None:
    curve = Curve()
    for number in range(5 * POINTS):
        curve.add(number)
    assert curve.values == list(range(0, 5 * POINTS, 8)) and curve.last == 5 * POINTS - 1
    assert curve.sparkline(8) == "▁▂▃▄▅▆▇█"


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 24), (40, 12)])
def test_the_live_view_with_curves_fits_the_terminal(width: int, height: int) -> None:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    view = LiveView(Progress("train-and-sample", "hello"), console)
    for event in (
        StagesPlanned(("ingest", "vocabulary", "encode", "train", "evaluate", "sample")),
        StageStarted("train", "first time"),
        TrainingStarted("r", 0, 100, "cpu", "float32", 10, "rnn 1x4"),
        *(Step(step, 100, 1.5, 0.01, 500, step * 0.1) for step in range(1, 51)),
        *(Reported(step, {"train/loss": 4 - step / 20}) for step in range(1, 51)),
        *(Evaluated(step, {"val/loss": 4.5 - step / 20}) for step in range(5, 51, 5)),
        Sampled(50, "a sample\n" * 20),
    ):
        view(event)
    console.print(view._draw())
    lines = console.file.getvalue().splitlines()
    assert len(lines) <= height and max(map(len, lines)) <= width
    shown = [line for line in lines if line.strip().startswith("loss ")]
    assert len(shown) == (width >= 80)
    assert all(
        "train █" in line and "1.500" in line and "val █" in line and "2.000" in line for line in shown
    )


def drawn(sample: Sampled, *, color: str | None = "standard", height: int = 24) -> str:
    console = Console(
        file=io.StringIO(), width=80, height=height, force_terminal=True, color_system=color, no_color=False
    )
    view = LiveView(Progress("train-and-sample", "hello"), console)
    for event in (
        StagesPlanned(("ingest", "vocabulary", "encode", "train", "evaluate", "sample")),
        StageStarted("train", "first time"),
        TrainingStarted("r", 0, 100, "cpu", "float32", 10, "rnn 1x4"),
        Step(1, 100, 1.5, 0.01, 500, 0.1),
        sample,
    ):
        view(event)
    console.print(view._draw())
    return console.file.getvalue()


def test_the_sample_is_coloured_by_surprise() -> None:
    sample = Sampled(1, "abcde", surprise=(0.1, 2.5, 5.0, 9.0, 0.0))
    assert "a\x1b[33mb\x1b[0m\x1b[31mc\x1b[0m\x1b[1;31md\x1b[0me" in drawn(sample)
    for plain in (drawn(sample, color=None), drawn(Sampled(1, "abcde"))):
        assert "abcde" in plain


def test_the_sample_has_several_rows_where_there_is_room() -> None:
    text = "".join(chr(97 + n % 26) for n in range(200))
    sample = Sampled(1, text)
    rows = [line for line in drawn(sample, color=None).splitlines() if "│ " in line]
    assert "".join(row.partition("│ ")[2] for row in rows) == text and len(rows) == 4
    assert len([line for line in drawn(sample, color=None, height=12).splitlines() if "│ " in line]) == 1
