"""`charpipe report`, `charpipe runs compare` and the evolution of samples, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from charpipe import train
from charpipe.cli import main


@pytest.fixture
def runs(project: Path) -> list[str]:
    (project / "pipelines.toml").write_text("[tracking]\nenabled = false\n")
    (project / "mine.txt").write_text("the quick brown fox jumps over the lazy dog. " * 200)
    settings = {"train.steps": 20, "architectures.rnn.hidden_size": 8, "sample.length": 20}
    return [train("mine.txt", "rnn", settings=settings | {"train.seed": seed}).name for seed in (1, 2)]


def test_a_report_is_one_page_in_the_runs_folder_or_where_it_is_asked_for(runs, project, capsys):
    assert main(["report", runs[0]]) == 0
    page = project / ".charpipe" / "runs" / runs[0] / "report.html"
    assert str(page) in capsys.readouterr().out.replace("\n", "")
    text = page.read_text(encoding="utf-8")
    assert "rnn 1x8" in text
    assert "mine.txt" in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert main(["report", "last", "--output", "out/my page.html", "--json"]) == 0
    assert Path(json.loads(capsys.readouterr().out)["page"]).is_file()
    (project / "folder").mkdir()
    assert main(["report", "last", "--output", "folder"]) == 0
    assert (project / "folder" / f"{runs[1]}.html").is_file()


def test_a_report_that_cannot_be_written_or_of_no_run_says_so(runs, project, capsys):
    (project / "file").write_text("")
    assert main(["report", "last", "--output", "file/page.html"]) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert main(["report", "nothing"]) == 2
    assert "nothing" in capsys.readouterr().err


def test_a_run_of_another_schema_is_named(runs, project, capsys):
    path = project / ".charpipe" / "runs" / runs[0] / "run.json"
    path.write_text(path.read_text().replace("charpipe.run/1", "charpipe.run/9"))
    assert main(["report", runs[0]]) == 1
    assert "charpipe.run/9" in capsys.readouterr().err


def test_runs_stand_side_by_side(runs, capsys):
    assert main(["runs", "compare", *runs]) == 0
    shown = capsys.readouterr().out
    assert "train.seed" in shown
    assert "val/bits_per_char" in shown
    assert main(["runs", "compare", *runs, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "train.seed" in json.dumps(found)
    assert main(["runs", "compare", runs[0], "nothing"]) == 2
