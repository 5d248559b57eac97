"""FILE arguments of evaluate, inspect and sample: read as corpora are, and fitted to the run's vocabulary."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import sys
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest

from charpipe import stages
from charpipe.cli import main
from charpipe.runs import Run
from charpipe.stages import TrainRequest

TEXT = "Le café est fermé.\nIl reste du thé, “dit-il”.\n" * 40


@pytest.fixture
def train(project: Path, open_context):
    """Trains a small model on a text."""

    def trained(text: str = TEXT, **settings: Any) -> Run:
        (project / "corpus.txt").write_bytes(text.encode())
        context = open_context(train__steps=3, **settings)
        documents = stages.ingest(context, "corpus.txt")
        vocabulary = stages.learn_vocabulary(context, "corpus.txt", documents)
        tokens = stages.encode(context, "corpus.txt", documents, vocabulary)
        done = stages.train(context, TrainRequest("corpus.txt", "rnn"), tokens, vocabulary)
        return Run(context.workspace.runs / done.run)

    return trained


@pytest.fixture
def evaluated(capfd: pytest.CaptureFixture[str]):
    """What `charpipe evaluate last ...` prints as JSON, and its notes."""

    def evaluate(*words: str) -> tuple[dict[str, Any], str]:
        assert main(["evaluate", "last", *words, "--json"]) == 0
        captured = capfd.readouterr()
        return json.loads(captured.out), captured.err

    return evaluate


def _tar(*texts: tuple[str, bytes]) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as archive:
        for name, data in texts:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return whole.getvalue()


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (TEXT.encode("windows-1252"), "read as windows-1252"),
        (TEXT.encode("utf-16"), "skipped 1 character that the vocabulary lacks: '\\ufeff' (U+FEFF) once"),
        (TEXT.encode("utf-16-le"), "read as utf-16-le"),
        (TEXT.encode("utf-8-sig"), "it differs from the vocabulary by a byte order mark alone"),
        (gzip.compress(TEXT.encode()), ""),
        (_tar(("a.txt", TEXT[:900].encode()), ("b.txt", TEXT[900:].encode())), "the texts of 2 files"),
        (TEXT.encode() + b"\xe2\x80", "its last character is cut off"),
    ],
    ids=["windows-1252", "utf-16", "utf-16 without mark", "mark", "gzip", "tar", "cut off"],
)
def test_evaluate_reads_a_file_as_a_corpus(train, project: Path, evaluated, data: bytes, note: str) -> None:
    train()
    (project / "plain.txt").write_text(TEXT, encoding="utf-8")
    (project / "given.txt").write_bytes(data)
    plain, quiet = evaluated("plain.txt")
    assert "note:" not in quiet and "skipped" not in plain and plain["characters"] == len(TEXT)
    given, said = evaluated("given.txt")
    assert given["metrics"] == plain["metrics"]
    assert note in said


def test_sample_and_inspect_read_the_same_way(
    train, project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = train()
    (project / "given.txt").write_bytes("thé “café”".encode("windows-1252"))
    assert main(["sample", "last", "--prompt-file", "given.txt", "--length", "5", "--json"]) == 0
    captured = capfd.readouterr()
    assert json.loads(captured.out)["prompt"] == "thé “café”"
    assert "read as windows-1252" in captured.err
    assert main(["inspect", run.name, "given.txt", "--search", "0", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["characters"] == 10 and found["skipped"] == 0
    assert "given.txt: read as windows-1252" in found["notices"]


def test_standard_input_and_pipes_are_read(
    train, project: Path, evaluated, monkeypatch: pytest.MonkeyPatch
) -> None:
    train()
    (project / "plain.txt").write_text(TEXT, encoding="utf-8")
    plain, _ = evaluated("plain.txt")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(TEXT.encode()))))
    given, _ = evaluated("-")
    assert given["metrics"] == plain["metrics"] and given["file"] == "-"
    os.mkfifo(project / "pipe")
    writing = threading.Thread(target=(project / "pipe").write_bytes, args=(TEXT.encode(),))
    writing.start()
    assert evaluated("pipe")[0]["metrics"] == plain["metrics"]
    writing.join()


def test_the_rules_of_the_runs_corpus_hold_and_set_overrides_them(train, project: Path, evaluated) -> None:
    train("un\r\ndeux\r\n" * 200, corpus__newline="lf", corpus__encoding="latin-1")
    (project / "given.txt").write_bytes(b"un\r\ndeux\r\n")
    found, said = evaluated("given.txt")
    assert found["characters"] == len("un\ndeux\n") and "skipped" not in found and "note:" not in said
    (project / "given.txt").write_bytes("un—deux".encode())
    found, said = evaluated("given.txt")
    assert found["skipped"]["characters"] == 3 and "'â' (U+00E2) once" in said
    found, _ = evaluated("given.txt", "--set", "corpus.encoding=utf-8")
    assert found["skipped"] == {"characters": 1, "most_frequent": {"—": 1}}
    found, _ = evaluated("given.txt", "--set", "corpus.newline=keep", "--set", "corpus.encoding=utf-8")
    assert found["skipped"]["characters"] == 1


def test_skipped_characters_are_counted_and_not_scored(
    train, project: Path, evaluated, capfd: pytest.CaptureFixture[str]
) -> None:
    train()
    (project / "plain.txt").write_text("Le café est fermé.", encoding="utf-8")
    (project / "given.txt").write_text("Le ☕café☕ est# fermé.", encoding="utf-8")
    plain, _ = evaluated("plain.txt")
    given, said = evaluated("given.txt")
    assert given["metrics"] == plain["metrics"] and given["characters"] == 18
    assert given["skipped"] == {"characters": 3, "most_frequent": {"☕": 2, "#": 1}}
    assert "skipped 3 characters that the vocabulary lacks: '☕' (U+2615) 2 times, '#' (U+0023) once" in said
    assert main(["evaluate", "last", "given.txt"]) == 0
    assert re.search(r"^skipped characters +3 \(not scored\)$", capfd.readouterr().out, re.M)
    assert main(["evaluate", "last", "given.txt", "--strict"]) == 2
    captured = capfd.readouterr()
    assert "given.txt: the vocabulary has no '☕' (U+2615), nor 1 other;" in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    "words", [["evaluate", "last"], ["sample", "last", "--prompt-file"]], ids=lambda w: w[0]
)
@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("日本語".encode(), "skipped 3 characters"),
        (b"%PDF-1.7\n%\xe2\xe3\n", "a PDF document: convert it to text first"),
        (b"\x00\x01\x02\xff" * 300, "binary"),
        ("thé ".encode() * 50 + b"\xff" + "thé".encode(), "--set corpus.encoding=NAME"),
        (None, "given.txt cannot be read"),
    ],
    ids=["no character", "pdf", "binary", "nearly utf-8", "missing"],
)
def test_what_cannot_be_read_is_refused_in_a_sentence(
    train, project: Path, capfd: pytest.CaptureFixture[str], words: list[str], data: bytes | None, said: str
) -> None:
    train()
    if data is not None:
        (project / "given.txt").write_bytes(data)
    assert main([*words, "given.txt"]) == 2
    captured = capfd.readouterr()
    assert said in captured.err and captured.out == "" and "Traceback" not in captured.err


@pytest.mark.parametrize(
    ("prompt", "difference", "remedy"),
    [
        ("the\u0301", "by Unicode normalisation alone", "convert it to NFC"),
        ("\ufeffthé", "by a byte order mark alone", "save it without the mark"),
        ("thé\r\n", "by its line ends (CR) alone", "type --set corpus.newline=lf"),
        (
            "\ufeffcafe\u0301\r\n",
            "by a byte order mark and its line ends (CR) and Unicode",
            "convert it to NFC",
        ),
    ],
    ids=["decomposed", "mark", "carriage return", "all"],
)
def test_a_prompt_that_differs_in_form_says_so_and_how_to_mend_it(
    train, project: Path, capfd: pytest.CaptureFixture[str], prompt: str, difference: str, remedy: str
) -> None:
    train()
    (project / "prompt.txt").write_bytes(prompt.encode())
    assert main(["sample", "last", "--prompt-file", "prompt.txt", "--length", "3"]) == 0
    captured = capfd.readouterr()
    assert difference in captured.err and remedy in captured.err
    assert main(["sample", "last", "--prompt-file", "prompt.txt", "--strict"]) == 2
    assert difference in capfd.readouterr().err
    assert main(["sample", "last", "--prompt", prompt, "--length", "3"]) == 2
    said = capfd.readouterr().err
    assert difference in said and "--set" not in said


def test_the_remedy_for_carriage_returns_works(
    train, project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    train()
    (project / "prompt.txt").write_bytes("thé\rcafé".encode())
    words = ["sample", "last", "--prompt-file", "prompt.txt", "--length", "3", "--json"]
    assert main([*words, "--set", "corpus.newline=lf", "--strict"]) == 0
    assert json.loads(capfd.readouterr().out)["prompt"] == "thé\ncafé"
