"""What a person sees while a pipeline works: every stage on a line of its own, live and as plain lines."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from charpipe.cli.views.jsonlines import JsonLinesView
from charpipe.cli.views.live import LiveView
from charpipe.cli.views.plain import PlainView
from charpipe.cli.views.progress import Progress, one_line
from charpipe.comparison import ComparisonResult, Row, leaderboard
from charpipe.errors import Incomplete
from charpipe.events import (
    Evaluated,
    Event,
    Finished,
    Notice,
    OfTrial,
    Reported,
    Sampled,
    StageFailed,
    StageFinished,
    StageProgress,
    StagesPlanned,
    StageStarted,
    Step,
    TrainingStarted,
)
from charpipe_pipelines.compare_architectures import show as show_comparison

STAGES = ("ingest", "vocabulary", "encode", "train", "evaluate", "sample")
EVENTS: list[Event] = [
    StageFinished("ingest", "55,405 documents  1.18 GB", 30.0),
    StageFinished("vocabulary", "char, 361 tokens", 0.0, skipped=True),
    StageStarted("encode", "first time"),
    StageProgress("encode", 500_000_000, 1_000_000_000),
    StageFinished("encode", "1.18 G tokens", 6.0),
    StageStarted("train", "first time with these settings"),
    TrainingStarted("a-run", 0, 2000, "cpu", "bfloat16", 1_000_000, "lstm 1x512"),
    *[Step(step, 2000, 1.5, 1e-3, 1000, step * 0.01) for step in range(1, 1001)],
    Evaluated(1000, {"val/loss": 1.204, "val/bits_per_char": 1.737}),
    Sampled(1000, "static int __init cpu_init(void)\n{\n\treturn 0;\n" * 9),
]


def picture(width: int) -> list[str]:
    console = Console(
        file=io.StringIO(), width=width, force_terminal=True, color_system=None, legacy_windows=False
    )
    progress = Progress("train-and-sample", "linux_src")
    progress.plan(STAGES)
    view = LiveView(progress, console)
    for event in EVENTS:
        view(event)
    console.print(view._draw())
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 120, 200])
def test_the_live_picture_has_a_line_for_each_stage(width: int) -> None:
    lines = picture(width)
    assert max(map(len, lines)) <= width
    starts = [line[:14].strip() for line in lines]
    starts = [
        start for n, start in enumerate(starts) if start or starts[n - 1]
    ]  # the rows of the sample as one
    assert starts == [
        "charpipe  trai",
        "",
        "✓ ingest",
        "✓ vocabulary",
        "✓ encode",
        "▶ train",
        "",
        "· evaluate",
        "· sample",
    ]


@pytest.mark.parametrize("width", [80, 120])
def test_the_lines_below_training_begin_where_its_text_begins(width: int) -> None:
    lines = picture(width)
    at = next(number for number, line in enumerate(lines) if line.startswith("▶ train"))
    column = lines[at].index("step 1,000")
    below = [line for line in lines[at + 1 :] if line.startswith(" ")]
    assert below and all(len(line) - len(line.lstrip()) == column for line in below)


def test_the_live_picture_says_what_matters() -> None:
    text = "\n".join(picture(120))
    assert "train-and-sample · linux_src · lstm 1x512 · cpu bfloat16" in text
    assert (
        "step 1,000 of 2,000  █████░░░░░  val 1.204 nats, 1.737 bits/char  100 k chars/s  0:10 left" in text
    )
    assert "sample at step 1,000 │ static int __init cpu_init(void)⏎{⏎→return 0;⏎" in text
    assert "cached" in text


def test_plain_lines_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    view = PlainView(Progress("train-and-sample", "linux_src"))
    for event in [*EVENTS, Notice("something to know")]:
        view(event)
    out = capsys.readouterr().out
    assert out.startswith("charpipe  train-and-sample · linux_src\n")
    said_in_any_case = ("✓ ingest", "cached", "run (first time)", "val 1.204 nats", "sample at step 1,000")
    for said in (*said_in_any_case, "something to know"):
        assert said in out


def test_json_lines_are_events(capsys: pytest.CaptureFixture[str]) -> None:
    view = JsonLinesView()
    for event in [*EVENTS, Finished(2000, "steps", 20.0)]:
        view(event)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0]["event"] == "stage_finished"
    assert [line["event"] for line in lines].count("step") == 1  # thinned: all came at once
    assert lines[-1]["event"] == "trained"


def test_reader_of_json_lines_may_leave() -> None:
    code = (
        "import sys; from charpipe.cli.views.jsonlines import JsonLinesView; from charpipe.events import Notice\n"
        "view = JsonLinesView()\n"
        "for _ in range(5000): view(Notice('x' * 100))\n"
        "print('done', file=sys.stderr)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert json.loads(process.stdout.readline())["event"] == "notice"
        process.stdout.close()
        assert process.stderr.read() == b"done\n"
    assert process.returncode == 0


def test_one_line_is_one_line() -> None:
    assert one_line("a\nb\tc\x1bd", 20) == "a⏎b→c·d"
    assert one_line("abcdef", 4) == "abc…"


@pytest.mark.parametrize(("done", "before"), [(0, 0), (20, 13), (40, 26)])
def test_of_many_stages_those_around_the_one_at_work_are_in_sight(done: int, before: int) -> None:
    console = Console(file=io.StringIO(), width=80, height=20, force_terminal=True, color_system=None)
    names = [f"lstm 1x{size}" for size in range(40)]
    view = LiveView(Progress("compare-architectures", "hello"), console)
    view(StagesPlanned(tuple(names)))
    for name in names[:done]:
        view(StageFinished(name, "20 steps", 1.0))
    hidden, shown = view._in_sight()
    assert (hidden, len(shown)) == (before, 14)
    assert done == 40 or names[done] in [stage.name for stage in shown]


def test_a_failed_stage_is_no_end_and_what_came_of_the_rest_is_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    view = PlainView(Progress("compare-architectures", "hello"))
    view(StageStarted("lstm 1x8 seed 1", "first time"))
    view(StageFailed("lstm 1x8 seed 1", "the loss is not a number"))
    [lost] = leaderboard([Row("lstm 1x8", 1, error="the loss is not a number")])
    result = ComparisonResult("hello-lstm-7f3a1c", "hello", Path("somewhere"), (lost,))
    view.fail(Incomplete("1 of 1 trainings failed", result), show_comparison(result))
    out = capsys.readouterr().out
    assert "✗ lstm 1x8 seed 1  the loss is not a number" in out
    assert "1 failed: the loss" in out
    JsonLinesView().fail(Incomplete("1 of 1 trainings failed", result))
    last = json.loads(capsys.readouterr().out)
    assert (last["event"], last["exit_code"], last["corpus"]) == ("failed", 1, "hello")


@pytest.mark.parametrize("width", [60, 80, 100])
def test_live_training_line_keeps_speed_and_time_left(width: int) -> None:
    [line] = [line for line in picture(width) if "train " in line and "step 1,000" in line]
    assert "chars/s" in line
    assert line.rstrip().endswith("left")


def test_live_training_line_shows_everything_where_there_is_room() -> None:
    [line] = [line for line in picture(120) if "train " in line and "step 1,000" in line]
    assert "step 1,000 of 2,000" in line
    assert "bits/char" in line
    assert "█" in line


def test_metrics_of_plugins_are_shown_as_many_as_there_is_room_for() -> None:
    progress = Progress("train-and-sample", "text")
    for event in (
        TrainingStarted("r", 0, 100, "cpu", "float32", 10, "rnn 1x4"),
        Reported(10, {"train/loss": 2.0, "mine/first": 1.25}),
        Evaluated(10, {"train/loss": 3.0, "val/loss": 2.5, "val/bits_per_char": 3.6, "mine/second": 7.0}),
    ):
        progress.take(event)
    shown = "train/loss 2  mine/first 1.25  mine/second 7"
    assert sorted(progress.measured().split("  ")) == sorted(shown.split("  "))
    assert len(progress.measured(30)) <= 30
    assert progress.measured(5) == ""
    progress.take(Reported(20, {"train/loss": 1.5, "mine/first": 1.0}))
    assert "train/loss 1.5" in progress.measured()
    assert "mine/second 7" in progress.measured()


def training_of(trial: str, number: int) -> list[Event]:
    """The events of one of several trainings, half way."""
    inner: list[Event] = [
        TrainingStarted(f"run-{number}", 0, 100, "cpu", "float32", 5000, "rnn 1x8"),
        *(Step(step, 100, 1.5, 0.01, 500, step * 0.1) for step in range(1, 51)),
        Evaluated(50, {"val/loss": number + 0.5, "val/bits_per_char": 2.0, "perf/chars_per_second": 5000.0}),
        Sampled(50, f"a sample of {trial}"),
    ]
    return [StageStarted(trial, "first time"), *(OfTrial(trial, event) for event in inner)]


AT_ONCE = [
    StagesPlanned(("lstm 2x512 seed 10", "gru 2x590 seed 10", "rnn 2x900 seed 10")),
    *training_of("lstm 2x512 seed 10", 1),
    *training_of("gru 2x590 seed 10", 2),
]


def test_trials_at_once_have_a_line_each_at_80_columns() -> None:
    console = Console(file=io.StringIO(), width=80, height=24, force_terminal=True, color_system=None)
    view = LiveView(Progress("compare-architectures", "linux_src"), console)
    for event in AT_ONCE:
        view(event)
    with console.capture() as captured:
        console.print(view._draw())
    lines = captured.get().splitlines()
    assert all(len(line.rstrip()) <= 80 for line in lines)
    [lstm] = [line for line in lines if "lstm 2x512" in line]
    [gru] = [line for line in lines if "gru 2x590" in line]
    assert "val 1.500 nats" in lstm and "val 2.500 nats" in gru
    assert all("step 50" in line and "chars/s" in line and "left" in line for line in (lstm, gru))
    assert (
        "sample" not in captured.get() and lines[0].strip() == "charpipe  compare-architectures · linux_src"
    )
    view(StageFinished("lstm 2x512 seed 10", "100 steps", 9.0))
    view(OfTrial("gru 2x590 seed 10", Step(60, 100, 1.5, 0.01, 500, 6.0)))
    with console.capture() as captured:
        console.print(view._draw())
    assert "✓ lstm 2x512" in captured.get() and "step 60" in captured.get()


def test_plain_lines_and_json_name_the_trial(capsys: pytest.CaptureFixture[str]) -> None:
    view = PlainView(Progress("compare-architectures", "linux_src"))
    for event in AT_ONCE:
        view(event)
    out = capsys.readouterr().out
    assert "  gru 2x590 seed 10   step 50 of 100  val 2.500 nats" in out and "a sample" not in out
    view_json = JsonLinesView()
    for event in AT_ONCE:
        view_json(event)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    steps = [line["trial"] for line in lines if line["event"] == "step"]
    assert steps == ["lstm 2x512 seed 10", "gru 2x590 seed 10"]  # thinned for each
