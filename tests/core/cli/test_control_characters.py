"""Samples with control characters: exact where output is read by a program, visible on a terminal."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from charpipe import stages
from charpipe.cli import main
from charpipe.cli.views.progress import one_line
from charpipe.stages import TrainRequest

WORDS = ["sample", "last", "--prompt", "a\r\x1b", "--length", "60", "--temperature", "9"]


class Terminal(io.TextIOWrapper):
    """Standard output that is a terminal, and keeps what it is given."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def run(project: Path, open_context) -> str:
    """A run whose text has carriage returns alone, and escape sequences."""
    (project / "old.txt").write_bytes(b"a\rb\x1b[2J\r\x9b" * 200)
    context = open_context(train__steps=2, corpus__encoding="latin-1")
    documents = stages.ingest(context, "old.txt")
    vocabulary = stages.learn_vocabulary(context, "old.txt", documents)
    tokens = stages.encode(context, "old.txt", documents, vocabulary)
    return stages.train(context, TrainRequest("old.txt", "rnn"), tokens, vocabulary).run


def _on_a_terminal(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> str:
    shown = io.BytesIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Terminal(shown, encoding="utf-8", write_through=True, newline=""))
        assert main(words) == 0
        sys.stdout.flush()
        return shown.getvalue().decode()


@pytest.mark.parametrize("count", ["1", "3"])
def test_samples_on_a_terminal_show_control_characters(
    run: str, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], count: str
) -> None:
    words = [*WORDS, "--count", count]
    assert main([*words, "--json"]) == 0
    value = json.loads(capfdbinary.readouterr().out)
    texts = value["texts"] if count != "1" else [value["text"]]
    assert all(text.startswith("a\r\x1b") for text in texts)
    assert main(words) == 0
    piped = capfdbinary.readouterr().out.decode()
    shown = _on_a_terminal(monkeypatch, words)
    for text in texts:
        assert text in piped
        assert text.replace("\r", "␍").replace("\x1b", "␛").replace("\x9b", "\\x9b") in shown
    assert not {"\r", "\x1b", "\x9b"} & set(shown)


def test_one_line_shows_carriage_returns() -> None:
    assert one_line("a\rb", 20) == "a␍b"
