"""What every storage backend must do, tried on a folder and on a real S3 server."""

from __future__ import annotations

import os
import secrets
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from charpipe.config.settings.store import StoreConfig
from charpipe.errors import StoreAccessError, StoreError, StoreUnreachableError, UsageError
from charpipe.store.backends import Backend, open_backend

NAMES = ["plain.json", "with space/ü.json", "%2E%2Fa.json", "a=b+c,d~e@f/(1)/x.json"]


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.cluster)])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    if request.param == "folder":
        return open_backend(StoreConfig(url=(tmp_path / "team store").as_uri()))
    server: Any = request.getfixturevalue("s3_server")
    return open_backend(
        StoreConfig(url=f"s3://charpipe/{secrets.token_hex(4)}/team", endpoint=server.endpoint)
    )


@pytest.mark.parametrize("key", NAMES)
def test_what_was_created_is_read(backend: Backend, key: str) -> None:
    assert backend.read(key) is None
    version = backend.create(key, b"one")
    stored = backend.read(key)
    assert stored is not None
    assert (stored.data, stored.version) == (b"one", version)
    assert abs(datetime.now(UTC) - stored.modified) < timedelta(minutes=10)
    assert [(entry.key, entry.bytes) for entry in backend.list("")] == [(key, 3)]


def test_create_never_overwrites(backend: Backend) -> None:
    assert backend.create("a", b"one") is not None
    assert backend.create("a", b"two") is None
    assert backend.create("a", b"one") is None
    assert backend.read("a").data == b"one"  # type: ignore[union-attr]


def test_replace_compares_the_version(backend: Backend) -> None:
    first = backend.create("a/b", b"one")
    assert first is not None
    second = backend.replace("a/b", b"two", first)
    assert second not in (None, first)
    assert backend.replace("a/b", b"three", first) is None
    assert backend.replace("a/none", b"three", first) is None
    assert backend.read("a/b").data == b"two"  # type: ignore[union-attr]
    assert backend.read("a/none") is None


def test_one_of_many_creators_wins(backend: Backend) -> None:
    start = threading.Barrier(8)

    def create(number: int) -> str | None:
        start.wait()
        return backend.create("race", b"same for all")

    with ThreadPoolExecutor(8) as pool:
        versions = list(pool.map(create, range(8)))
    assert len([version for version in versions if version is not None]) == 1


def test_counter_of_many_threads_counts_each(backend: Backend) -> None:
    backend.create("count", b"0")

    def add(_: int) -> None:
        while True:
            stored = backend.read("count")
            assert stored is not None
            if backend.replace("count", str(int(stored.data) + 1).encode(), stored.version) is not None:
                return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(20)))
    assert backend.read("count").data == b"20"  # type: ignore[union-attr]


@pytest.mark.parametrize("size", [0, 10, (8 << 20) * 5 + 17])
def test_files_go_up_and_come_down(backend: Backend, tmp_path: Path, size: int) -> None:
    source, back = tmp_path / "source", tmp_path / "back"
    source.write_bytes(secrets.token_bytes(size))
    backend.upload("objects/x/file.bin", source)
    backend.download("objects/x/file.bin", back)
    assert back.read_bytes() == source.read_bytes()
    source.write_bytes(b"new")
    backend.upload("objects/x/file.bin", source)
    backend.download("objects/x/file.bin", back)
    assert back.read_bytes() == b"new"


def test_download_of_a_missing_key_is_an_error(backend: Backend, tmp_path: Path) -> None:
    backend.create("other", b"")
    with pytest.raises(StoreError, match=r"holds no objects/none"):
        backend.download("objects/none", tmp_path / "back")


def test_list_has_folders_apart_in_order(backend: Backend) -> None:
    for key in ("b/2", "b/1", "b/c/3", "bb/4", "a"):
        backend.create(key, b"x")
    assert sorted(entry.key for entry in backend.list("b/")) == ["b/1", "b/2", "b/c/3"]
    assert list(backend.list("none/")) == []
    assert len(list(backend.list(""))) == 5


def test_deleted_keys_are_gone_and_may_be_created_again(backend: Backend) -> None:
    backend.create("a/b/c", b"one")
    backend.create("a/d", b"one")
    backend.delete(["a/b/c", "a/b/none"])
    assert backend.read("a/b/c") is None
    assert backend.read("a/d") is not None
    assert backend.create("a/b/c", b"two") is not None


@pytest.mark.parametrize("key", ["", "../x", "/etc/passwd", "a//b", "a/./b", "a/../../b", "a/\0"])
def test_keys_do_not_leave_the_store(backend: Backend, key: str) -> None:
    with pytest.raises(StoreError, match="is not a key"):
        backend.create(key, b"x")


@pytest.mark.cluster
def test_missing_bucket_is_one_sentence(s3_server: Any) -> None:
    there = open_backend(StoreConfig(url="s3://nowhere/team", endpoint=s3_server.endpoint))
    attempts = [
        lambda: there.read("a"),
        lambda: there.create("a", b""),
        lambda: list(there.list("a/")),
    ]
    for attempt in attempts:
        with pytest.raises(StoreAccessError, match=r"^s3://nowhere/team: there is no .*bucket") as caught:
            attempt()
        assert "\n" not in str(caught.value)


@pytest.mark.cluster
@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_wrong_credentials_are_one_sentence(
    s3_server: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "wrong-and-secret")
    there = open_backend(StoreConfig(url="s3://charpipe/team", endpoint=s3_server.endpoint))
    with pytest.raises(
        StoreAccessError, match="does not accept these credentials; check AWS_ACCESS_KEY_ID"
    ) as caught:
        there.create("a", b"")
    assert "wrong-and-secret" not in str(caught.value)


def test_server_that_does_not_answer_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("obstore")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    there = open_backend(StoreConfig(url="s3://charpipe/team", endpoint="http://127.0.0.1:1"))
    with pytest.raises(StoreUnreachableError) as caught:
        there.read("a")
    assert str(caught.value) == "s3://charpipe/team does not answer (error sending request)"
    assert "very-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "endpoint", "message"),
    [
        ("ftp://host/x", None, "no storage backend for 'ftp://host/x'"),
        ("s4://bucket/x", None, "known: az, file, gs, s3"),
        ("s3:///x", None, "not the URL of a bucket"),
        ("s3://bucket/x?a=b", None, "not the URL of a bucket"),
        ("s3://bucket", "localhost:9000", "endpoint is 'localhost:9000'; write the server's URL"),
        ("gs://bucket", "http://localhost:9000", "endpoint is for S3"),
        ("file:relative", None, "not the URL of a folder"),
        ("file://server/share", None, "not the URL of a folder"),
        ("file:///x", "http://localhost", "endpoint is for object storage"),
    ],
)
def test_wrong_urls_are_usage_errors(url: str, endpoint: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_backend(StoreConfig(url=url, endpoint=endpoint))


def test_folder_that_refuses_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    there = open_backend(StoreConfig(url=(tmp_path / "file" / "store").as_uri()))
    with pytest.raises(StoreError, match="does not answer"):
        there.create("a", b"")


def test_missing_obstore_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(
        UsageError, match=r"needs the package obstore; type: pip install 'charpipe\[cluster\]'"
    ):
        open_backend(StoreConfig(url="s3://bucket/x"))


@pytest.mark.parametrize(
    ("url", "variable"), [("s3://b/x", "AWS_ACCESS_KEY_ID"), ("az://b/x", "AZURE_STORAGE_ACCOUNT_NAME")]
)
def test_missing_credentials_name_the_variables(
    monkeypatch: pytest.MonkeyPatch, url: str, variable: str
) -> None:
    pytest.importorskip("obstore")
    for name in list(os.environ):
        if name.startswith(("AWS_", "AZURE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1/169.254.169.254")
    with pytest.raises(StoreAccessError, match=f"set {variable} and .* in the environment"):
        open_backend(StoreConfig(url=url)).read("a")


def test_download_to_a_full_disk_blames_this_machine(backend: Backend, tmp_path: Path) -> None:
    backend.create("a", b"x" * 100_000)
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full on this machine")
    with pytest.raises(StoreError, match=r"^/dev/full cannot be written: No space left on device") as caught:
        backend.download("a", Path("/dev/full"))
    assert not isinstance(caught.value, StoreUnreachableError)


def test_folder_that_is_full_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    def full(*words: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    there = open_backend(StoreConfig(url=tmp_path.as_uri()))
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreUnreachableError, match=r"takes nothing more \(No space left on device\)"):
        there.create("a", b"x")
