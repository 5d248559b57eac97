"""What a session and a notebook show of what charpipe returns: short, and escaped."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

import charpipe
from charpipe.api.results import Compared, Leaderboard, Trained
from charpipe.comparison.leaderboard import Row, leaderboard
from charpipe.pages.notebook import MAX_HTML

EVIL = "<script>alert('x')</script>"
SETTINGS = {
    "tracking.enabled": False,
    "train.steps": 4,
    "train.batch_size": 4,
    "train.window": 8,
    "architectures.rnn.hidden_size": 8,
    "sample.length": 20,
}
SHORT = 1000


def shown(value: object) -> str:
    """The HTML of a value, after checking that it and the repr are short and escaped."""
    drawn = value._repr_html_()  # type: ignore[attr-defined]
    assert len(repr(value)) <= SHORT and len(drawn) <= MAX_HTML + 4000
    assert "<script" not in drawn and "\n" not in repr(value)
    return str(drawn)


def ranked(count: int, title: str = EVIL) -> Leaderboard:
    rows = [
        Row(f"{title} {n}", 1, f"run-{n}", 1000, 5, 1.5, 1.6, 2.5, 2.6 + n, 9e3, 3.0, "fast")
        for n in range(count)
    ]
    rows.append(Row("broken", 1, error=f"it failed: {EVIL}" * 50))
    return Leaderboard(asdict(one) for one in leaderboard(rows))


def test_a_training_is_shown_by_its_scores_and_its_sample() -> None:
    metrics = {"val/bits_per_char": 2.5, "test/bits_per_char": 2.25, "test/loss": 1.5}
    predictions = tuple({"text": "x" * 100} for _ in range(500))
    trained = Trained(EVIL * 3, Path("runs/one"), metrics, EVIL * 9000, predictions, "worse than guessing")
    drawn = shown(trained)
    assert "2.2500" in drawn and "worse than guessing" in drawn and "&lt;script&gt;" in drawn
    assert "2.250 bits per character, worse than guessing" in repr(trained)


def test_a_comparison_is_shown_as_its_leaderboard() -> None:
    found = ranked(100)
    compared = Compared(EVIL, Path("comparisons/one"), found, tuple({"error": ""} for _ in range(101)))
    assert "and 81 more" in shown(compared) and "2.6000" in shown(found)
    assert "101 trainings" in repr(compared) and repr(found).count("bits per character") == 3
    assert "broken" in str(found) and found[0]["bits"] == 2.6 and len(found) == 101
    assert shown(Leaderboard()) and repr(Leaderboard()) == "<Leaderboard>"


@pytest.fixture
def trained(project: Path) -> Trained:
    (project / f"{EVIL.replace('/', '')}.txt").write_text(
        "<b>static</b> int a; /* & */\n" * 200, encoding="utf-8"
    )
    return charpipe.train(f"{EVIL.replace('/', '')}.txt", arch="rnn", settings=SETTINGS, progress=False)


def test_what_a_run_gives_is_short_and_escaped(trained: Trained, project: Path) -> None:
    rnn = charpipe.load(trained.name)
    (project / "long.txt").write_text("<b>static</b> int a; /* & */\n" * 200, encoding="utf-8")
    found = charpipe.inspect("last", "long.txt", searched=4096)
    for value in (trained, rnn, rnn.step("<"), found, found.reading, found.search):
        assert shown(value)
    assert "hidden [1, 1, 8]" in rnn._repr_html_()
    assert all(len(repr(one)) < 200 for one in found.search.findings)


def test_a_comparison_has_a_bar(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "text.txt").write_text("static int a; /* both */\n" * 200, encoding="utf-8")
    events: list[object] = []
    found = charpipe.compare(
        "text.txt", ["rnn", "gru"], sizes=[8], settings=SETTINGS, progress=True, listen=events.append
    )
    told = capsys.readouterr()
    assert told.err.count("\n\n") == 0
    assert "0 of 2 trained  rnn 1x8 seed" in told.err and "4 of 4 steps" in told.err
    assert told.err.splitlines()[-1] == "charpipe  2 of 2 trained  done"
    assert told.out == "" and events and len(found.rows) == 2
    charpipe.compare("text.txt", ["rnn", "gru"], sizes=[8], settings=SETTINGS)
    assert capsys.readouterr().err == ""
