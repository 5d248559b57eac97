"""What a person is told of a corpus's files, and folders whose files change while they are read."""

from pathlib import Path

import pytest

from charpipe import stages
from charpipe.corpus import ingestion
from charpipe.corpus.fingerprint import ChangedError
from charpipe.events import Notice

QUOTED = "“It’s late.”\n" * 50


@pytest.fixture
def texts(project: Path) -> Path:
    folder = project / "texts"
    folder.mkdir()
    (folder / "a.txt").write_text(QUOTED)
    return folder


def test_rejected_files_and_notes_are_told(open_context, heard, texts: Path) -> None:
    (texts / "b.txt").write_bytes(QUOTED.encode("cp1252"))
    (texts / "c.pdf").write_bytes(b"%PDF-1.4")
    (texts / "d.txt").write_bytes(QUOTED.encode().replace(b"I", b"\xff", 1))
    stages.ingest(open_context(), str(texts))
    notices = heard.of(Notice)
    messages = [notice.message for notice in notices]
    assert "b.txt: read as windows-1252" in messages
    assert any(message.startswith("rejected c.pdf: a PDF document") for message in messages)
    assert any("rejected d.txt: not quite UTF-8: byte 0xFF at offset 3" in message for message in messages)
    loud = [notice.message for notice in notices if notice.level == "warning"]
    assert loud and "2 of 4 files" in loud[0]


class Growing:
    """Lets a log grow whenever a file has been read."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def __call__(self, *settings: object, **named: object) -> object:
        members = folder_members(*settings, **named)  # type: ignore[arg-type]

        def grow() -> object:
            for member in members:
                yield member
                with self._log.open("a") as log:
                    log.write(f"{member.path} was read\n")

        return grow()


folder_members = ingestion.folder_members


def test_a_file_that_grows_is_named(open_context, texts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (texts / "grow.log").write_text("begin\n")
    monkeypatch.setattr(ingestion, "folder_members", Growing(texts / "grow.log"))
    with pytest.raises(ChangedError, match=r"while it was read: grow\.log; .*corpus\.changed=skip"):
        stages.ingest(open_context(), str(texts))


def test_a_file_that_grows_is_left_out_by_setting(
    open_context, heard, texts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (texts / "grow.log").write_text("begin\n")
    monkeypatch.setattr(ingestion, "folder_members", Growing(texts / "grow.log"))
    made = stages.ingest(open_context(corpus__changed="skip"), str(texts))
    notices = heard.of(Notice)
    assert made.facts["documents"] == 1
    assert any("grow.log" in notice.message and notice.level == "warning" for notice in notices)
