"""`charpipe corpora add`: the project file, what is said of the text, and what is refused."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

import charpipe
from charpipe.cli import main
from charpipe.cli.corpora_add import lines
from charpipe.config import load_config
from charpipe.errors import CharpipeError, CorpusError, UsageError
from charpipe.projects.project_file import add_table
from charpipe.workspace import find_workspace

SMALL = "[architectures.lstm]\nhidden_size = 4\n"
BEFORE = f"""# my project
{SMALL}
[train]   # short
steps = 7
# the end
"""


@pytest.fixture
def texts(project: Path) -> Path:
    (project / "pipelines.toml").write_text(BEFORE)
    folder = project / "texts"
    folder.mkdir()
    (folder / "a.txt").write_text("first line\n\nsecond line of this text\n" * 40)
    (folder / "b.md").write_bytes("“It’s late.”\n".encode("cp1252") * 50)
    (folder / "c.pdf").write_bytes(b"%PDF-1.4")
    return project


def test_the_file_is_extended_and_its_comments_stay(texts: Path) -> None:
    charpipe.add_corpus("mine", "texts")
    file = (texts / "pipelines.toml").read_text()
    assert file.startswith(BEFORE)
    assert tomllib.loads(file)["corpora"] == {"mine": {"sources": ["texts"]}}


def test_what_the_text_holds_is_returned(texts: Path) -> None:
    added = charpipe.add_corpus("mine", "texts")
    contents = added.contents
    assert (contents.documents, contents.rejections) == (2, 1)
    assert contents.bytes == sum((texts / "texts" / name).stat().st_size for name in ("a.txt", "b.md"))
    assert contents.encodings == {"utf-8": 1, "windows-1252": 1}
    assert contents.first_lines == ("first line", "second line of this text", "first line")
    assert contents.rejected[0][0] == "c.pdf"
    assert contents.notes == ("b.md: read as windows-1252",)


def test_the_estimate_is_measured_with_the_settings(texts: Path) -> None:
    estimate = charpipe.add_corpus("mine", "texts").estimate
    assert estimate.model == "lstm 1x4"
    assert estimate.reason is None
    assert estimate.updates >= 3
    assert estimate.training_seconds == pytest.approx(7 * 32 * 64 / estimate.characters_per_second)
    assert estimate.passes == pytest.approx(estimate.training_seconds / estimate.pass_seconds)


def test_a_text_too_short_to_train_on_has_no_estimate(texts: Path) -> None:
    (texts / "one.txt").write_text("a")
    estimate = charpipe.add_corpus("one", "one.txt").estimate
    assert estimate.reason is not None
    assert "less than two characters" in estimate.reason


def test_a_text_too_short_to_train_on_is_warned_of(texts: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (texts / "one.txt").write_text("a")
    assert main(["corpora", "add", "one", "one.txt"]) == 0
    told = capfd.readouterr()
    assert "charpipe: the text to train on has less than two characters" in told.err
    assert "To train on it" not in told.out
    assert main(["run", "train-and-sample", "--corpus", "one"]) == 2
    said = capfd.readouterr().err
    assert "the text is too short to train on: it has 1 token, and" in said
    assert "split" not in said


def test_text_after_the_splits_is_warned_of(texts: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["corpora", "add", "cut", "texts/a.txt", "--train", "1000 bytes", "--val", "100 bytes"]
    assert main(words) == 0
    assert (
        "charpipe: 380 characters after the splits belong to none, and are left out" in capfd.readouterr().err
    )


def test_the_lines_fit_a_terminal(texts: Path) -> None:
    shown = list(lines(charpipe.add_corpus("mine", "texts"), 80))
    assert max(map(len, shown[1:-1])) <= 80
    assert any(line.startswith("  encoding     utf-8 (1), windows-1252 (1)") for line in shown)
    assert any("c.pdf: a PDF document" in line for line in shown)


def test_the_command_prints_json(texts: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["corpora", "add", "mine", "texts", "--include", "*.txt", "--json"]) == 0
    shown = json.loads(capfd.readouterr().out)
    assert (shown["name"], shown["include"]) == ("mine", ["*.txt"])
    assert shown["contents"]["documents"] == 1


def test_the_corpus_can_be_named_afterwards(texts: Path, capfd: pytest.CaptureFixture[str]) -> None:
    charpipe.add_corpus("mine", "texts", ["*.txt"])
    assert main(["corpora", "show", "mine"]) == 0
    assert "here    " in capfd.readouterr().out
    assert load_config().config.corpora["mine"].include == ["*.txt"]


@pytest.mark.parametrize(
    ("name", "source", "include", "said"),
    [
        ("a.b", "texts", [], "cannot be the name of a corpus"),
        ("", "texts", [], "has no name"),
        ("a/b", "texts", [], "for example a_b"),
        ("x" * 61, "texts", [], "at most 60 characters"),
        ("name:x", "texts", [], "cannot be the name"),
        ("hello", "texts", [], "comes with charpipe"),
        ("mine", "nowhere", [], "there is no file or folder 'nowhere'"),
        ("mine", "", [], "has no text"),
        ("mine", "https://me:secret@host/a.txt", [], "holds a user name or password"),
        ("mine", "texts", ["*.c"], "the pattern '*.c' matches no file"),
        ("mine", "texts", ["*.txt", "*.c"], "the pattern '*.c' matches no file"),
        ("mine", "texts", ["*.c", "*.h"], "the patterns '*.c', '*.h' match no file"),
        ("mine", "texts", ["*.txt", "*.txt"], "given twice"),
        ("mine", "texts", [" "], "is empty"),
        ("mine", "texts/*.c", [], "the pattern 'texts/*.c' matches no file"),
        ("mine", "texts/c.pdf", [], "holds no text that can be read"),
    ],
)
def test_what_is_refused_leaves_the_file_as_it_was(
    texts: Path, name: str, source: str, include: list[str], said: str
) -> None:
    with pytest.raises(CharpipeError) as caught:
        charpipe.add_corpus(name, source, include)
    assert said in str(caught.value)
    assert "secret@" not in str(caught.value)
    assert (texts / "pipelines.toml").read_text() == BEFORE


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("ftp://127.0.0.1/x.txt", "'ftp://127.0.0.1/x.txt' cannot"),
        ("http://", "it names no host"),
        ("https://127.0.0.1:99999/x", "Port out of range"),
        ("nowhere/*.txt", "the pattern 'nowhere/*.txt' matches no file"),
    ],
)
def test_an_impossible_source_is_a_usage_error(
    texts: Path, capfd: pytest.CaptureFixture[str], source: str, said: str
) -> None:
    assert main(["corpora", "add", "mine", source]) == 2
    told = capfd.readouterr().err
    assert said in told
    assert "--corpus" not in told
    assert (texts / "pipelines.toml").read_text() == BEFORE


def test_an_empty_folder_of_one_file_is_counted_in_the_singular(texts: Path) -> None:
    (texts / "pdf").mkdir()
    (texts / "pdf" / "c.pdf").write_bytes(b"%PDF-1.4")
    with pytest.raises(CorpusError, match=r"holds no text: 1 file \("):
        charpipe.add_corpus("mine", "pdf")


def test_a_taken_name_is_refused(texts: Path, capfd: pytest.CaptureFixture[str]) -> None:
    charpipe.add_corpus("mine", "texts")
    before = (texts / "pipelines.toml").read_text()
    assert main(["corpora", "add", "mine", "texts"]) == 2
    assert "already; nothing was changed" in capfd.readouterr().err
    assert (texts / "pipelines.toml").read_text() == before


def test_without_a_project_it_says_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["corpora", "add", "mine", "texts"]) == 2
    assert "type: charpipe init" in capfd.readouterr().err


def test_a_path_is_kept_as_seen_from_the_project(texts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (texts / "texts" / "a:b.txt").write_text("text with a colon in its name\n" * 9)
    monkeypatch.chdir(texts / "texts")
    charpipe.add_corpus("one", "a.txt")
    charpipe.add_corpus("colon", "./a:b.txt")
    charpipe.add_corpus("all", "*.txt")
    monkeypatch.chdir(texts)
    corpora = tomllib.loads((texts / "pipelines.toml").read_text())["corpora"]
    assert corpora["one"] == {"sources": ["texts/a.txt"]}
    assert corpora["colon"] == {"sources": ["texts/a:b.txt"]}
    assert corpora["all"] == {"sources": ["texts/*.txt"]}


@pytest.mark.parametrize(
    "before",
    [
        "",
        "x = 1",
        '[corpora.old]\nsources = ["a"]\n# end\n\n[train]\nsteps = 1\n',
        '# note\ncorpora = {old = {sources = ["a"]}}\n',
        '# note\ncorpora.old.sources = ["a"]\n[train]\nsteps = 1\n',
        "# windows\r\n[train]\r\nsteps = 1\r\n",
    ],
)
def test_any_form_of_the_file_is_edited(project: Path, before: str) -> None:
    file = project / "pipelines.toml"
    file.write_bytes(before.encode())
    add_table(file, "corpora", "größe", {"sources": ['a "b"']}, find_workspace(file))
    after = file.read_bytes().decode()
    wanted = tomllib.loads(before)
    wanted.setdefault("corpora", {})["größe"] = {"sources": ['a "b"']}
    assert tomllib.loads(after) == wanted
    assert all(line in after for line in before.splitlines() if line.startswith("#"))
    assert ("\r\n" in before) == ("\r\n" in after)
    assert "\n" not in after.replace("\r\n", "") or "\r\n" not in before


def test_a_table_that_is_there_is_refused(project: Path) -> None:
    file = project / "pipelines.toml"
    file.write_text('[corpora.old]\nsources = ["a"]\n')
    with pytest.raises(UsageError, match=r"has a table corpora\.old already"):
        add_table(file, "corpora", "old", {"sources": ["b"]}, find_workspace(file))


def test_given_splits_are_added_and_measured(texts: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (texts / "texts" / "d.txt").write_text("held out\n" * 5)
    assert main(["corpora", "add", "mine", "texts", "--train", "a.*", "--test", "d.*"]) == 0
    assert "splits       train 1,480, val 0, test 45 characters" in capfd.readouterr().out
    added = tomllib.loads((texts / "pipelines.toml").read_text())["corpora"]["mine"]
    assert added["split"] == {"by": "files", "train": "a.*", "test": "d.*"}
    charpipe.add_corpus("cut", "texts/a.txt", split={"train": "1000 bytes", "val": "100 bytes"})
    contents = charpipe.add_corpus(
        "part", "texts/a.txt", split={"train": 0.8, "val": "0.2", "test": 0}
    ).contents
    assert contents.splits["val"] == contents.characters // 5
    corpora = tomllib.loads((texts / "pipelines.toml").read_text())["corpora"]
    assert corpora["cut"]["split"] == {"train": "1000 bytes", "val": "100 bytes"}
    assert corpora["part"]["split"] == {"train": 0.8, "val": 0.2, "test": 0.0}


@pytest.mark.parametrize(
    ("split", "said"),
    [
        ({"train": "*.c"}, "0 files that match *.c"),
        ({"train": "*.txt", "val": "*.c"}, "split.val = '*.c' matches no file"),
        ({"train": "*.txt", "val": "a.*"}, "the splits overlap: a.txt"),
        ({"train": "9000 bytes"}, "b.md is read as windows-1252"),
        ({"train": "9000 characters"}, "the splits are 9,000 characters long"),
        ({"train": "9000 characters"}, "give sizes that fit: --train, --val and --test"),
        ({"train": "-5 bytes"}, "'-5 bytes' is less than nothing"),
        ({"train": " "}, "a split cannot be read: it is empty"),
        ({"train": "0.5"}, "must sum to 1"),
    ],
)
def test_splits_that_do_not_fit_leave_the_file_as_it_was(
    texts: Path, split: dict[str, str], said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        charpipe.add_corpus("mine", "texts", split=split)
    assert said in str(caught.value)
    assert (texts / "pipelines.toml").read_text() == BEFORE
