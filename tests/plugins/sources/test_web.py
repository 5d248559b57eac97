"""Downloads from a real server that misbehaves: the bad file is gone, retries are bounded."""

import functools
import gzip
import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from charpipe.plugin import CorpusError
from charpipe_sources.web import Patience, fetch, there
from fake_fetcher import FakeFetcher

BODY = b"some text\n" * 5000
PAGE = b"\n<!DOCTYPE html>\n<html><head><title>Please  log in</title></head><body>No.</body></html>\n"
SHA256 = hashlib.sha256(BODY).hexdigest()
QUICK = Patience(attempts=3, pause=0.01, timeout=60)
"""For answers that come, however busy the machine is."""
IMPATIENT = Patience(attempts=3, pause=0.01, timeout=0.5)
"""For answers that never come whole."""


class Handler(BaseHTTPRequestHandler):
    hits: dict[str, int]
    page = (BODY, '"one"')

    def do_GET(self) -> None:
        name = self.path.lstrip("/").partition("/")[0]
        count = self.hits[name] = self.hits.get(name, 0) + 1
        getattr(self, f"do_{name}", self.do_good)(count)

    def do_good(self, count: int) -> None:
        self.answer(200, BODY)

    def do_missing(self, count: int) -> None:
        self.answer(404, b"no")

    def do_broken(self, count: int) -> None:
        self.answer(500, b"oops")

    def do_flaky(self, count: int) -> None:
        self.answer(503 if count < 3 else 200, BODY)

    def do_truncated(self, count: int) -> None:
        self.answer(200, BODY, len(BODY) + 100)

    def do_dropped(self, count: int) -> None:
        self.close_connection = True

    def do_silent(self, count: int) -> None:
        self.answer(200, b"", 100)
        time.sleep(2)

    def do_dripping(self, count: int) -> None:
        self.answer(200, b"", 100)
        for _ in range(30):
            time.sleep(0.1)
            try:
                self.wfile.write(b"x")
                self.wfile.flush()
            except OSError:
                return

    def do_elsewhere(self, count: int) -> None:
        self.answer(302, b"", location="file:///etc/passwd")

    def do_loop(self, count: int) -> None:
        self.answer(302, b"", location=self.path)

    def do_moved(self, count: int) -> None:
        self.answer(302, b"", location="/good/text.txt")

    def do_empty(self, count: int) -> None:
        self.answer(200, b"")

    def do_empty_once(self, count: int) -> None:
        self.answer(200, b"" if count == 1 else BODY)

    def do_page(self, count: int) -> None:
        self.answer(200, PAGE, content_type="text/html")

    def do_page_once(self, count: int) -> None:
        self.answer(200, PAGE if count == 1 else BODY)

    def do_page_later(self, count: int) -> None:
        self.answer(200, PAGE if count > 1 else BODY)

    def do_json(self, count: int) -> None:
        self.answer(200, b'{"error": "rate limit exceeded"}', content_type="application/json")

    def do_pointer(self, count: int) -> None:
        self.answer(200, b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")

    def do_gzip(self, count: int) -> None:
        self.answer(200, gzip.compress(BODY), encoding="gzip")

    def do_strange(self, count: int) -> None:
        self.answer(200, BODY, encoding="sdch")

    def do_tagged(self, count: int) -> None:
        body, tag = Handler.page
        if self.headers.get("If-None-Match") == tag:
            self.hits["unchanged"] = self.hits.get("unchanged", 0) + 1
            self.answer(304, b"")
        else:
            self.answer(200, body, tag=tag)

    def answer(
        self,
        status: int,
        body: bytes,
        length: int | None = None,
        location: str = "",
        tag: str = "",
        content_type: str = "",
        encoding: str = "",
    ) -> None:
        self.send_response(status)
        for name, value in (("Content-Type", content_type), ("Content-Encoding", encoding)):
            if value:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        if tag:
            self.send_header("ETag", tag)
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, dict[str, int]]]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    handler = type("Handler", (Handler,), {"hits": {}})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        running.daemon_threads = True
        thread = threading.Thread(target=functools.partial(running.serve_forever, poll_interval=0.02))
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}", handler.hits  # type: ignore[attr-defined]
        running.shutdown()
        thread.join()


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["good", "moved", "flaky"])
def test_a_file_arrives_and_is_kept(name: str, server: tuple[str, dict[str, int]], tmp_path: Path) -> None:
    url, hits = f"{server[0]}/{name}/a%20text.txt", server[1]
    here = FakeFetcher(tmp_path, SHA256)
    assert not there(url, tmp_path)
    fetched = fetch(url, here, QUICK)
    assert fetched.path is not None
    assert fetched.path.read_bytes() == BODY
    assert fetched.sha256 == SHA256
    assert fetched.details["name"] == "a_text.txt"
    assert here.told == (len(BODY), len(BODY))
    assert there(url, tmp_path)
    before = dict(hits)
    assert fetch(url, here, QUICK) == fetched
    assert hits == before


@pytest.mark.parametrize(
    ("name", "reason", "attempts"),
    [
        ("missing", "404", 1),
        ("broken", "500", 3),
        ("truncated", "3 attempts", 3),
        ("dropped", "3 attempts", 3),
        ("silent", "3 attempts", 3),
        ("dripping", "bytes a second", 3),
        ("elsewhere", "another scheme", 1),
        ("loop", "without end", 6),
        ("empty", "empty answer", 3),
        ("strange", "'sdch'", 1),
    ],
)
def test_what_cannot_be_had_leaves_nothing(
    name: str, reason: str, attempts: int, server: tuple[str, dict[str, int]], tmp_path: Path
) -> None:
    url = f"{server[0]}/{name}/text.txt"
    with pytest.raises(CorpusError, match=reason):
        fetch(url, FakeFetcher(tmp_path), IMPATIENT if name in ("silent", "dripping") else QUICK)
    assert server[1][name] == attempts
    assert files(tmp_path) == []
    assert not there(url, tmp_path)


def test_a_refused_connection_is_said_in_plain_words(tmp_path: Path) -> None:
    with socket.socket() as bound:  # nothing listens on its port
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/x.txt"
        with pytest.raises(CorpusError, match=r"in 3 attempts \(connection refused\)$"):
            fetch(url, FakeFetcher(tmp_path), QUICK)


def test_a_wrong_hash(server: tuple[str, dict[str, int]], tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="not the file it should be"):
        fetch(f"{server[0]}/good/text.txt", FakeFetcher(tmp_path, "0" * 64), QUICK)
    assert files(tmp_path) == []


def test_a_damaged_copy_is_fetched_again(server: tuple[str, dict[str, int]], tmp_path: Path) -> None:
    url = f"{server[0]}/good/text.txt"
    kept = fetch(url, FakeFetcher(tmp_path, SHA256), QUICK).path
    assert kept is not None
    kept.write_bytes(b"damaged")
    fetched = fetch(url, FakeFetcher(tmp_path, SHA256), QUICK)
    assert fetched.path is not None
    assert fetched.path.read_bytes() == BODY


def test_a_copy_of_another_content_is_fetched_whole_whatever_the_server_said_of_it(
    server: tuple[str, dict[str, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, hits = f"{server[0]}/tagged/page.txt", server[1]
    assert fetch(url, FakeFetcher(tmp_path), QUICK).sha256 == SHA256
    another = hashlib.sha256(b"another text").hexdigest()
    with pytest.raises(CorpusError, match="not the file it should be"):
        fetch(url, FakeFetcher(tmp_path, another), QUICK)
    assert "unchanged" not in hits
    monkeypatch.setattr(Handler, "page", (b"another text", '"one"'))  # and the same tag
    fetched = fetch(url, FakeFetcher(tmp_path, another), QUICK)
    assert fetched.path is not None and fetched.path.read_bytes() == b"another text"
    assert fetched.sha256 == another


def test_https_never_goes_down_to_http() -> None:
    from charpipe_sources.web import _session

    with _session("https://example.org/") as session:
        assert list(session.adapters) == ["https://"]


def test_refreshing_asks_the_server_and_takes_only_what_is_new(
    server: tuple[str, dict[str, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, hits = f"{server[0]}/tagged/page.txt", server[1]
    here = FakeFetcher(tmp_path)
    first = fetch(url, here, QUICK)
    here.refresh = True
    assert fetch(url, here, QUICK) == first
    assert hits == {"tagged": 2, "unchanged": 1}
    monkeypatch.setattr(Handler, "page", (b"another text", '"two"'))
    second = fetch(url, here, QUICK)
    assert second.path == first.path and second.path is not None
    assert second.path.read_bytes() == b"another text"
    assert second.sha256 == hashlib.sha256(b"another text").hexdigest() != first.sha256
    assert fetch(url, here, QUICK) == second
    assert hits == {"tagged": 4, "unchanged": 2}


def test_a_refresh_that_fails_keeps_what_was_there(
    server: tuple[str, dict[str, int]], tmp_path: Path
) -> None:
    here = FakeFetcher(tmp_path)
    here.refresh = True
    for name in ("truncated", "missing", "broken"):
        bad = f"{server[0]}/{name}/text.txt"
        shelf = tmp_path / hashlib.sha256(bad.encode()).hexdigest()[:16]
        shelf.mkdir()
        (shelf / "text.txt").write_bytes(BODY)
        with pytest.raises(CorpusError):
            fetch(bad, here, QUICK)
        assert files(shelf) == [shelf / "text.txt"]
        assert (shelf / "text.txt").read_bytes() == BODY


def test_a_file_pinned_by_its_hash_is_never_asked_for_again(
    server: tuple[str, dict[str, int]], tmp_path: Path
) -> None:
    url, hits = f"{server[0]}/good/text.txt", server[1]
    here = FakeFetcher(tmp_path, SHA256)
    fetch(url, here, QUICK)
    here.refresh = True
    fetch(url, here, QUICK)
    assert hits == {"good": 1}


def test_an_empty_answer_is_asked_for_again(server: tuple[str, dict[str, int]], tmp_path: Path) -> None:
    fetched = fetch(f"{server[0]}/empty_once/text.txt", FakeFetcher(tmp_path), QUICK)
    assert fetched.sha256 == SHA256
    assert server[1] == {"empty_once": 2}


def test_an_empty_file_kept_earlier_is_fetched_anew(
    server: tuple[str, dict[str, int]], tmp_path: Path
) -> None:
    url = f"{server[0]}/good/text.txt"
    path = fetch(url, FakeFetcher(tmp_path), QUICK).path
    assert path is not None
    path.write_bytes(b"")
    assert fetch(url, FakeFetcher(tmp_path), QUICK).sha256 == SHA256


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("page", "an HTML page (its title: 'Please log in')"),
        ("json", "a JSON document"),
        ("pointer", "a pointer of Git LFS"),
    ],
)
def test_no_text_where_text_was_expected_warns(
    name: str, what: str, server: tuple[str, dict[str, int]], tmp_path: Path
) -> None:
    url = f"{server[0]}/{name}/text.txt"
    for asked in (1, 2):  # the second time it is there, and asked for again nevertheless
        fetched = fetch(url, FakeFetcher(tmp_path), QUICK)
        assert len(fetched.warnings) == 1
        assert url in fetched.warnings[0] and what in fetched.warnings[0]
        assert server[1] == {name: asked}


def test_a_page_that_was_once_sent_is_replaced_by_the_text(
    server: tuple[str, dict[str, int]], tmp_path: Path
) -> None:
    url = f"{server[0]}/page_once/text.txt"
    assert fetch(url, FakeFetcher(tmp_path), QUICK).warnings
    second = fetch(url, FakeFetcher(tmp_path), QUICK)
    assert second.sha256 == SHA256 and not second.warnings
    fetch(url, FakeFetcher(tmp_path), QUICK)
    assert server[1] == {"page_once": 2}


def test_a_page_never_replaces_the_text_that_is_here(
    server: tuple[str, dict[str, int]], tmp_path: Path
) -> None:
    url, here = f"{server[0]}/page_later/text.txt", FakeFetcher(tmp_path)
    first = fetch(url, here, QUICK)
    here.refresh = True
    with pytest.raises(CorpusError, match=r"HTML page.*not a newer version"):
        fetch(url, here, QUICK)
    here.refresh = False
    assert fetch(url, here, QUICK) == first


@pytest.mark.parametrize("suffix", ["zip", "TXT.GZ", "tar.xz", "epub.7z"])
def test_a_page_for_an_archive_is_refused(
    suffix: str, server: tuple[str, dict[str, int]], tmp_path: Path
) -> None:
    with pytest.raises(CorpusError, match="HTML page"):
        fetch(f"{server[0]}/page/text.{suffix}?download=1", FakeFetcher(tmp_path), QUICK)
    assert files(tmp_path) == []


@pytest.mark.parametrize("name", ["page.html", "page.HTM", "page.xhtml"])
def test_a_page_that_was_asked_for_is_no_surprise(
    name: str, server: tuple[str, dict[str, int]], tmp_path: Path
) -> None:
    assert not fetch(f"{server[0]}/page/{name}", FakeFetcher(tmp_path), QUICK).warnings


def test_an_answer_that_was_compressed_for_its_way_is_decompressed(
    server: tuple[str, dict[str, int]], tmp_path: Path
) -> None:
    fetched = fetch(f"{server[0]}/gzip/text.txt", FakeFetcher(tmp_path), QUICK)
    assert fetched.path is not None and fetched.path.read_bytes() == BODY
    named = fetch(f"{server[0]}/gzip/text.txt.gz", FakeFetcher(tmp_path), QUICK)
    assert named.path is not None and gzip.decompress(named.path.read_bytes()) == BODY
