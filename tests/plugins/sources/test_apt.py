"""Packages by the real apt, from a repository made for the test, without touching the system's state."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from charpipe.plugin import CorpusError
from charpipe_sources.apt import choose, fetch, there
from fake_fetcher import FakeFetcher

needs_apt = pytest.mark.skipif(
    not (shutil.which("apt-get") and shutil.which("dpkg-deb")), reason="apt is not on this machine"
)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """linux-source-6.1 and -6.12, and the metapackage that depends on the former."""
    folder = tmp_path / "repository"
    folder.mkdir()
    index = ""
    for name, depends in (
        ("linux-source-6.1", ""),
        ("linux-source-6.12", ""),
        ("linux-source", "linux-source-6.1"),
    ):
        root = tmp_path / name
        (root / "DEBIAN").mkdir(parents=True)
        control = f"Package: {name}\nVersion: 6.1-1\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: source\n"
        control += f"Depends: {depends}\n" if depends else ""
        (root / "DEBIAN" / "control").write_text(control)
        file = folder / f"{name}_6.1-1_all.deb"
        subprocess.run(["dpkg-deb", "--build", root, file], check=True, capture_output=True)
        data = file.read_bytes()
        index += f"{control}Filename: ./{file.name}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n\n"
    (folder / "Packages").write_text(index)
    (tmp_path / "sources.list").write_text(f"deb [trusted=yes] file:{folder} ./\n")
    (tmp_path / "apt.conf").write_text(
        f'Dir::Etc::SourceList "{tmp_path}/sources.list";\nDir::Etc::SourceParts "/dev/null";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    return folder


@needs_apt
def test_the_distributions_own_choice_is_downloaded_and_kept(repository: Path, tmp_path: Path) -> None:
    cache = tmp_path / "a cache"
    cache.mkdir()
    fetched = fetch("apt:linux-source-*", FakeFetcher(cache))
    assert fetched is not None
    assert fetched.path is not None
    assert fetched.path.name == "linux-source-6.1_6.1-1_all.deb"
    assert fetched.details == {"package": "linux-source-6.1", "version": "6.1-1"}
    assert there("apt:linux-source-*", cache)
    assert not there("apt:other-*", cache)
    shutil.rmtree(repository)
    assert fetch("apt:linux-source-*", FakeFetcher(cache)) == fetched


@needs_apt
def test_refreshing_brings_a_newer_version_and_leaves_the_same_alone(
    repository: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    first = fetch("apt:linux-source-6.1", FakeFetcher(cache))
    assert fetch("apt:linux-source-6.1", FakeFetcher(cache, refresh=True)) == first
    index = repository / "Packages"
    deb = repository / "linux-source-6.1_6.1-1_all.deb"
    deb.rename(repository / "linux-source-6.1_6.1-2_all.deb")
    text = index.read_text().split("\n\n")
    text[0] = text[0].replace("6.1-1", "6.1-2")
    index.write_text("\n\n".join(text))
    assert fetch("apt:linux-source-6.1", FakeFetcher(cache)) == first
    second = fetch("apt:linux-source-6.1", FakeFetcher(cache, refresh=True))
    assert second is not None and second.details["version"] == "6.1-2"
    assert fetch("apt:linux-source-6.1", FakeFetcher(cache)) == second
    shutil.rmtree(repository)
    with pytest.raises(CorpusError, match="apt-get failed"):
        fetch("apt:linux-source-6.1", FakeFetcher(cache, refresh=True))
    assert fetch("apt:linux-source-6.1", FakeFetcher(cache)) == second


@needs_apt
def test_a_package_that_is_not_what_the_index_says(repository: Path, tmp_path: Path) -> None:
    file = repository / "linux-source-6.1_6.1-1_all.deb"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    cache = tmp_path / "cache"
    cache.mkdir()
    with pytest.raises(CorpusError, match="apt-get failed"):
        fetch("apt:linux-source-*", FakeFetcher(cache))
    assert list(cache.glob("*.deb")) == []


@needs_apt
def test_an_unknown_package(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="knows no package nonesuch-"):
        fetch("apt:nonesuch-*", FakeFetcher(tmp_path))
    with pytest.raises(CorpusError, match="names no package"):
        fetch("apt:-o=Evil", FakeFetcher(tmp_path))


def test_choose() -> None:
    packages = [
        "linux-source-6.1",
        "linux-source-6.12",
        "linux-source-6.9",
        "linux-source-6.12-dbg",
        "linux-source",
    ]
    assert choose("linux-source-*", packages) == "linux-source-6.12"
    assert choose("linux-source-*", packages, "linux-source-6.1") == "linux-source-6.1"
    assert choose("linux-source-5*", packages, "linux-source-6.1") is None
