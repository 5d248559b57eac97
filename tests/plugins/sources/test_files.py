"""Paths, globs, the interpreter's own library, and literal text."""

from pathlib import Path

import pytest

from charpipe.plugin import CorpusError
from charpipe_sources import files, interpreter, literal
from fake_fetcher import FakeFetcher


def test_a_glob_takes_the_highest_version(tmp_path: Path) -> None:
    for version in ("5.9", "6.1", "6.12"):
        (tmp_path / f"linux-source-{version}.tar.xz").touch()
    found = files.fetch(f"{tmp_path}/linux-source-*.tar.*", FakeFetcher(tmp_path))
    assert found is not None
    assert found.path == tmp_path / "linux-source-6.12.tar.xz"
    assert files.fetch(f"{tmp_path}/*.zip", FakeFetcher(tmp_path)) is None
    assert not files.there(f"{tmp_path}/*.zip", tmp_path)


def test_a_glob_of_versions_says_what_it_took(tmp_path: Path) -> None:
    for version in ("6.9", "6.10"):
        (tmp_path / f"linux-{version}.TAR.XZ").touch()
    found = files.fetch(f"{tmp_path}/linux-*", FakeFetcher(tmp_path))
    assert found is not None and found.path is not None
    assert found.path.name == "linux-6.10.TAR.XZ"
    assert not found.only
    assert "of 2 archives" in found.notices[0] and "linux-6.10.TAR.XZ" in found.notices[0]


@pytest.mark.parametrize(
    "names", [("a.txt", "b.txt", "c.txt"), ("1.txt", "2.txt"), ("a1.zip", "b1.zip"), ("part1", "part2")]
)
def test_a_glob_means_all_matches(tmp_path: Path, names: tuple[str, ...]) -> None:
    (tmp_path / "texts").mkdir()
    for name in (*names, "left.out"):
        (tmp_path / "texts" / name).touch()
    pattern = (
        f"{tmp_path}/t?xts/*[0-9]" if names[0] == "part1" else f"{tmp_path}/texts/*{Path(names[0]).suffix}"
    )
    found = files.fetch(pattern, FakeFetcher(tmp_path))
    assert found is not None
    if names[0] != "part1":
        assert found.path == tmp_path / "texts"
        assert found.only == set(names)
    else:
        assert found.path == tmp_path
        assert found.only == {"texts/part1", "texts/part2"}
    assert not found.notices


def test_file_urls(tmp_path: Path) -> None:
    path = tmp_path / "a b%.txt"
    path.write_text("x")
    for spec in (path.as_uri(), path.as_uri().replace("///", "//localhost/"), f"file:{path}"):
        found = files.fetch(spec, FakeFetcher(tmp_path))
        assert found is not None and found.path == path
    with pytest.raises(CorpusError, match="another machine"):
        files.fetch("file://server/share/a.txt", FakeFetcher(tmp_path))


def test_a_link_to_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "link.txt").symlink_to(tmp_path / "gone.txt")
    with pytest.raises(CorpusError, match=r"gone\.txt, which is not there"):
        files.fetch(str(tmp_path / "link.txt"), FakeFetcher(tmp_path))


def test_names_are_taken_as_they_are_before_they_are_globs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "what [1].txt").write_text("x")
    monkeypatch.setenv("HOME", str(tmp_path))
    for spec in (str(tmp_path / "what [1].txt"), "~/what [1].txt", f"file://{tmp_path}/what [1].txt"):
        found = files.fetch(spec, FakeFetcher(tmp_path))
        assert found is not None
        assert found.path == tmp_path / "what [1].txt"


def test_the_standard_library(tmp_path: Path) -> None:
    found = interpreter.fetch("python:stdlib", FakeFetcher(tmp_path))
    assert found is not None
    assert found.path is not None
    assert (found.path / "argparse.py").is_file()
    with pytest.raises(CorpusError, match="python:stdlib"):
        interpreter.there("python:other", tmp_path)


def test_literal_text(tmp_path: Path) -> None:
    assert literal.fetch("text:hello: text", FakeFetcher(tmp_path)).text == "hello: text"
    with pytest.raises(CorpusError):
        literal.fetch("text:", FakeFetcher(tmp_path))


@pytest.mark.parametrize("folder", ["a[x]", "{b}*", "c?", "$HOME", "[!a]"])
def test_a_glob_works_in_a_folder_whose_name_is_one(tmp_path: Path, folder: str) -> None:
    place = tmp_path / folder
    (place / "texts").mkdir(parents=True)
    for name in ("a.txt", "b.txt"):
        (place / "texts" / name).write_text("text")
    found = files.fetch(f"{place}/texts/*.txt", FakeFetcher(tmp_path / "cache"))
    assert found is not None
    assert found.path == place / "texts"
    assert found.only == {"a.txt", "b.txt"}


def test_a_variable_within_a_source_may_be_a_whole_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("text")
    monkeypatch.setenv("TEXTS", str(tmp_path))
    found = files.fetch(f"{tmp_path}/$TEXTS/a.txt", FakeFetcher(tmp_path / "cache"))
    assert found is not None and found.path == tmp_path / "a.txt"
