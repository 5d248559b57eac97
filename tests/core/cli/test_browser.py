"""`--open` opens the page that was written, and where there is no browser says what to do instead."""

from __future__ import annotations

import json
import stat
import webbrowser
from pathlib import Path

import pytest

from charpipe import stages
from charpipe.cli import main
from charpipe.runs import Run
from charpipe.stages import TrainRequest


@pytest.fixture
def run(project: Path, open_context) -> Run:
    """A finished run in a folder with a space and an umlaut in its name."""
    (project / "text.txt").write_text("say (go) and [come]\n" * 200, encoding="utf-8")
    context = open_context(train__steps=3)
    documents = stages.ingest(context, "text.txt")
    vocabulary = stages.learn_vocabulary(context, "text.txt", documents)
    tokens = stages.encode(context, "text.txt", documents, vocabulary)
    trained = stages.train(context, TrainRequest("text.txt", "rnn"), tokens, vocabulary)
    return Run(context.workspace.runs / trained.run)


COMMANDS = {
    "report": ["report", "last"],
    "inspection": ["inspect", "last", "--search", "0", "--length", "100"],
}


@pytest.mark.parametrize("page", COMMANDS)
def test_the_page_that_was_written_is_opened_once(
    run: Run, page: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url, *rest: opened.append(url) or True)
    assert main(COMMANDS[page]) == 0 and opened == []
    assert main([*COMMANDS[page], "--open"]) == 0
    file = run.folder / f"{page}.html"
    assert opened == [file.resolve().as_uri()] and file.is_file()
    assert "no browser" not in capfd.readouterr().err
    assert stat.S_IMODE(file.stat().st_mode) & stat.S_IROTH  # it is meant to be sent


def _fails(*_: object) -> bool:
    raise webbrowser.Error("could not locate runnable browser")


@pytest.mark.parametrize("page", COMMANDS)
@pytest.mark.parametrize("without", [lambda *_: False, _fails], ids=["says no", "fails"])
def test_without_a_browser_the_page_is_written_and_a_note_says_where(
    run: Run, page: str, without, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(webbrowser, "open", without)
    assert main([*COMMANDS[page], "--open", "--json"]) == 0
    said = capfd.readouterr()
    file = Path(json.loads(said.out)["page"])
    assert file.is_file()
    assert "note: no browser was found here" in said.err and str(file) in said.err
