"""What is printed at the end of a training."""

from __future__ import annotations

from typing import Any

from charpipe_pipelines.training_result import TrainingResult, show


def result(**values: Any) -> TrainingResult:
    """The result of a run that did nothing, but for these fields."""
    given = {"corpus": "hello", "metrics": {}, "warning": None, "predictions": (), "sample": ""} | values
    return TrainingResult("a-run", **given)


def test_the_summary_shows_numbers_sample_and_next_commands() -> None:
    found = result(
        metrics={
            "val/loss": 1.2,
            "val/bits_per_char": 1.73,
            "test/loss": 1.3,
            "test/loss_standard_error": 0.01,
        },
        sample="x" * 250 + "\n\x1b[31mred\n" + "line\n" * 40,
        predictions=({"text": "h", "next": {"e": 0.9}},),
    )
    text = "\n".join(show(found))
    assert "1.2000 nats per token, 1.7300 bits per character" in text
    assert "1.3000 ± 0.0100 nats" in text
    assert "after 'h'" in text
    assert "\x1b" not in text
    assert "lines more" in text
    assert "charpipe sample a-run" in text


def test_summary_suggests_the_report_and_the_inspection() -> None:
    lines = "\n".join(show(result()))
    for command in ("sample", "report", "inspect", "runs show"):
        assert f"charpipe {command} a-run" in lines


def test_summary_of_a_pipeline_warns() -> None:
    assert "  warning: it is bad" in list(show(result(warning="it is bad")))
    assert not any("warning" in line for line in show(result()))


def test_a_dry_run_shows_nothing() -> None:
    assert list(show(result(), dry_run=True)) == []
