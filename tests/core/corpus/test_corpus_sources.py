"""The first source that is there is used, verified; without any the error lists what was tried."""

import hashlib
from pathlib import Path

import pytest

import charpipe_sources
from charpipe.config.settings.corpus import CorpusConfig
from charpipe.corpus.sources import fetch, fetched_here
from charpipe.errors import CorpusError

SOURCES = {source.scheme: source for source in charpipe_sources.charpipe_sources()}


def test_the_first_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("b")
    config = CorpusConfig(sources=[f"{tmp_path}/a.txt", f"{tmp_path}/b.txt", "text:c"])
    fetched = fetch(config, "abc", tmp_path / "cache", SOURCES)
    assert fetched.path == tmp_path / "b.txt"
    assert fetched_here(config, tmp_path / "cache", SOURCES) == list(
        zip(config.sources, [False, True, True], strict=True)
    )


def test_nothing_is_there(tmp_path: Path) -> None:
    config = CorpusConfig(sources=[f"{tmp_path}/a.txt", "https://127.0.0.1:1/b.txt", "gopher://c"])
    with pytest.raises(CorpusError) as caught:
        fetch(config, "abc", tmp_path / "cache", SOURCES)
    message = str(caught.value)
    for part in (
        "'abc'",
        "a.txt: not there",
        "b.txt could not be downloaded",
        "gopher",
        "of your own instead",
    ):
        assert part in message


def test_a_stated_hash_is_checked_wherever_the_file_comes_from(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a")
    sha256 = hashlib.sha256(b"a").hexdigest()
    good = CorpusConfig(sources=[str(path)], sha256=sha256)
    assert fetch(good, "a", tmp_path / "cache", SOURCES).sha256 == sha256
    bad = CorpusConfig(sources=[str(path)], sha256="0" * 64)
    with pytest.raises(CorpusError, match="not the stated"):
        fetch(bad, "a", tmp_path / "cache", SOURCES)


def test_a_name_with_a_colon_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "note:a.txt").write_text("a")
    config = CorpusConfig(sources=["note:a.txt"])
    assert fetch(config, "a", tmp_path / "cache", SOURCES).path == Path("note:a.txt")


@pytest.mark.parametrize("scheme", ["HTTP", "Https", "http"])
def test_a_scheme_in_any_case_is_known(scheme: str, tmp_path: Path) -> None:
    config = CorpusConfig(sources=[f"{scheme}://127.0.0.1:1/b.txt"])
    with pytest.raises(CorpusError, match="could not be downloaded"):
        fetch(config, "b", tmp_path / "cache", SOURCES)


def test_a_scheme_that_nobody_fetches_gets_a_sentence(tmp_path: Path) -> None:
    for spec in ("ftp://host/a.txt", "S3://bucket/a.txt", "hf://datasets/a"):
        with pytest.raises(CorpusError, match=r"http and https URLs can be fetched.*path of the file"):
            fetch(CorpusConfig(sources=[spec]), "a", tmp_path / "cache", SOURCES)


def test_a_file_whose_name_looks_like_a_scheme_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "TEXT:a").write_text("b")
    assert fetch(CorpusConfig(sources=["TEXT:a"]), "a", tmp_path / "cache", SOURCES).path == Path("TEXT:a")


def test_only_the_matches_of_a_glob_are_ingested(tmp_path: Path) -> None:
    from charpipe.corpus import ingest, read_documents
    from charpipe.corpus.fingerprint import survey

    for name in ("b.txt", "a.txt", "c.md", "sub/d.txt", "more/e.txt"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_text(name)
    config = CorpusConfig(sources=[f"{tmp_path}/in/*.txt"])
    fetched = fetch(config, "in", tmp_path / "cache", SOURCES)
    (tmp_path / "out").mkdir()
    ingest(fetched, config, tmp_path / "out")
    assert [document.path for document in read_documents(tmp_path / "out")] == ["a.txt", "b.txt"]
    assert set(survey(fetched, config, tmp_path).contents) == {"a.txt", "b.txt"}
    folders = fetch(CorpusConfig(sources=[f"{tmp_path}/in/[ms]*"]), "in", tmp_path / "cache", SOURCES)
    assert set(survey(folders, config, tmp_path).contents) == {"more/e.txt", "sub/d.txt"}
