"""`charpipe corpora show` lists the files that were rejected or read with a notice."""

import json
from pathlib import Path

import pytest

from charpipe import stages
from charpipe.cli import main


@pytest.fixture
def texts(project: Path, open_context) -> str:
    folder = project / "texts"
    folder.mkdir()
    (folder / "a.txt").write_bytes("“It’s late.”\n".encode("cp1252") * 50)
    (folder / "b.pdf").write_bytes(b"%PDF-1.4")
    stages.ingest(open_context(), "texts")
    return "texts"


def test_files_are_listed_with_reasons(texts: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["corpora", "show", texts]) == 0
    out = capfd.readouterr().out
    assert "rejected: 1 file, when it was last read\n  b.pdf: a PDF document" in out
    assert "  a.txt: read as windows-1252" in out


def test_files_are_listed_as_json(texts: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["corpora", "show", texts, "--json"]) == 0
    shown = json.loads(capfd.readouterr().out)
    assert [row["path"] for row in shown["rejected"]] == ["b.pdf"]
    assert shown["notes"] == [{"path": "a.txt", "note": "read as windows-1252"}]


def test_sizes_of_the_splits_are_shown(
    project: Path, open_context, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "mine.txt").write_text("é" * 100)
    context = open_context(corpus__split={"train": "80 characters", "val": "20 characters"})
    documents = stages.ingest(context, "mine.txt")
    stages.encode(context, "mine.txt", documents, stages.learn_vocabulary(context, "mine.txt", documents))
    assert main(["corpora", "show", "mine.txt"]) == 0
    assert "train  80 characters, 160 bytes" in capfd.readouterr().out
    assert main(["corpora", "show", "mine.txt", "--json"]) == 0
    shown = json.loads(capfd.readouterr().out)
    assert shown["splits"]["bytes"] == {"train": 160, "val": 40, "test": 0}
