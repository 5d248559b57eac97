"""Corpora with given splits: by files, in a folder and in archives, and by sizes; what is refused, and new versions."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from charpipe import stages
from charpipe.errors import CharpipeError, UsageError
from charpipe.events import Notice
from charpipe.stages.objects import StageOutput
from charpipe.text import load_vocabulary, open_tokens

FILES = {
    "data/x.train.txt": "abcabc☃\n" * 40,
    "data/x.valid.txt": "cab\n" * 9,
    "data/x.test.txt": "bca\n" * 7,
}
BY_FILES = {"by": "files", "train": "*.train.txt", "val": "*.valid.txt", "test": "*.test.txt"}
SPLITS = ("train", "val", "test")
Encode = Callable[..., dict[str, str]]


def folder(project: Path) -> str:
    for path, text in FILES.items():
        (project / path).parent.mkdir(exist_ok=True)
        (project / path).write_text(text)
    (project / "data" / "README").write_text("Not a part: éàü")
    return "data"


def tar(project: Path) -> str:
    with tarfile.open(project / "x.tgz", "w:gz") as archive:
        for path, text in {**FILES, "data/README": "Not a part: éàü"}.items():
            member = tarfile.TarInfo(path)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return "x.tgz"


def zipped(project: Path) -> str:
    with zipfile.ZipFile(project / "x.zip", "w") as archive:
        for path, text in {**FILES, "data/README": "Not a part: éàü"}.items():
            archive.writestr(path, text)
    return "x.zip"


@pytest.fixture
def encode(project: Path, open_context: Callable[..., Any]) -> Encode:
    """Encodes a corpus with given splits, and returns the text of each split and, as `vocabulary`, all characters."""

    def run(source: str, split: dict[str, Any], **settings: Any) -> dict[str, str]:
        table = {"sources": [source], "split": split, **settings}
        context = open_context(corpora={"given": table})
        made, vocabulary = encoded(context)
        encoding = load_vocabulary(
            context.path(vocabulary) / "vocabulary.json", context.registry.all("tokenizer")
        )
        texts = {
            name: encoding.decoder().decode(open_tokens(context.path(made), name).tokens.tolist(), final=True)
            for name in SPLITS
        }
        learned = json.loads((context.path(vocabulary) / "vocabulary.json").read_text())
        return {**texts, "vocabulary": learned.get("characters", ""), "object": made.digest}

    return run


def encoded(context: Any) -> tuple[StageOutput, StageOutput]:
    documents = stages.ingest(context, "given")
    vocabulary = stages.learn_vocabulary(context, "given", documents)
    return stages.encode(context, "given", documents, vocabulary), vocabulary


def warnings(heard: Any) -> list[str]:
    return [event.message for event in heard.of(Notice) if event.level == "warning"]


@pytest.mark.parametrize("source", [folder, tar, zipped])
def test_files_become_the_splits_and_others_are_not_read(project: Path, encode: Encode, source: Any) -> None:
    found = encode(source(project), BY_FILES)
    assert [found[name] for name in SPLITS] == list(FILES.values())
    assert set(found["vocabulary"]) == set("abc☃\n")


def test_include_restricts_the_files_further(project: Path, encode: Encode) -> None:
    folder(project)
    (project / "data" / "y.train.txt").write_text("yyy")
    found = encode("data", BY_FILES, include=["x.*"])
    assert "y" not in found["vocabulary"]


def test_several_files_make_a_split(project: Path, encode: Encode) -> None:
    folder(project)
    (project / "data" / "y.train.txt").write_text("yyy")
    found = encode("data", BY_FILES)["train"]
    assert found in (FILES["data/x.train.txt"] + "yyy", "yyy" + FILES["data/x.train.txt"])


@pytest.mark.parametrize(
    ("split", "said"),
    [
        (
            {"train": "*.train.txt", "val": "*.dev.txt"},
            "split.val = '*.dev.txt' matches no file; nothing was kept",
        ),
        ({"train": "*.nothing"}, "0 files that match *.nothing"),
        (
            {"train": "*.txt", "val": "*.valid.txt"},
            "the splits overlap: x.valid.txt matches split.train = '*.txt' and",
        ),
        (
            {"train": "*.train.txt", "test": "*.pdf"},
            "matches only files that were rejected (x.pdf: a PDF document",
        ),
    ],
)
def test_patterns_that_do_not_fit_are_refused(
    project: Path, encode: Encode, split: dict[str, str], said: str
) -> None:
    folder(project)
    (project / "data" / "x.pdf").write_bytes(b"%PDF-1.4")
    with pytest.raises(UsageError) as caught:
        encode("data", {"by": "files", **split})
    assert said in str(caught.value)


def test_equal_texts_in_two_splits_are_told(project: Path, encode: Encode, heard: Any) -> None:
    folder(project)
    (project / "data" / "y.test.txt").write_text(FILES["data/x.train.txt"])
    encode("data", BY_FILES)
    assert any("1 document of val or test has the same text" in one for one in warnings(heard))


def test_sizes_in_bytes_are_those_of_the_source(project: Path, encode: Encode, heard: Any) -> None:
    text = "é☃a" * 30  # 6 bytes each time
    (project / "whole.txt").write_text(text)
    found = encode("whole.txt", {"train": "60 bytes", "val": "31 bytes", "test": "29 bytes"})
    assert [found[name] for name in SPLITS] == [text[:30], text[30:46], text[46:60]]
    notices = [event.message for event in heard.of(Notice)]
    assert "val ends at byte 92, not 91, which is inside of a character" in notices
    assert warnings(heard) == ["60 bytes after the splits belong to none, and are left out"]


def test_a_byte_vocabulary_is_divided_by_the_same_bytes(project: Path, encode: Encode) -> None:
    (project / "whole.txt").write_text("é☃a" * 30)
    found = encode("whole.txt", {"train": "60 bytes", "val": "120 bytes"}, tokenizer={"name": "byte"})
    assert [len(found[name].encode()) for name in SPLITS] == [60, 120, 0]


@pytest.mark.parametrize(
    ("split", "settings", "said"),
    [
        ({"train": "1000 bytes"}, {}, "the splits are 1,000 bytes long, and the text has 8"),
        ({"train": "4 bytes"}, {"newline": "lf"}, "is not kept byte for byte"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(
    project: Path, encode: Encode, split: dict[str, str], settings: dict[str, str], said: str
) -> None:
    (project / "whole.txt").write_bytes(b"ab\r\ncd\r\n")
    with pytest.raises(CharpipeError) as caught:
        encode("whole.txt", split, **settings)
    assert said in str(caught.value)
    assert caught.value.exit_code == 2


def test_new_version_is_divided_as_given_not_as_before(project: Path, encode: Encode) -> None:
    folder(project)
    before = encode("data", BY_FILES)
    (project / "data" / "x.test.txt").rename(project / "data" / "y.train.txt")
    (project / "data" / "x.test.txt").write_text("new\n")
    after = encode("data", BY_FILES)
    assert after["test"] == "new\n"
    assert FILES["data/x.test.txt"] in after["train"]
    assert after["val"] == before["val"]


def test_given_splits_are_the_same_whatever_was_encoded_before(
    project: Path, encode: Encode, open_context: Callable[..., Any]
) -> None:
    (project / "whole.txt").write_text("abcdefghij" * 20)
    encode("whole.txt", {"train": 0.5, "val": 0.25, "test": 0.25})
    (project / "whole.txt").write_text("0123456789" * 21)
    given = encode("whole.txt", {"train": "200 bytes", "val": "10 bytes"})
    assert given["val"] == "0123456789"
    assert encode("whole.txt", {"train": "200 bytes", "val": "10 bytes"})["object"] == given["object"]
