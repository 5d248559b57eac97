"""Downloads under the stage that ingests them: what held no text is not kept, and a forced stage asks again."""

from __future__ import annotations

import gzip
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from charpipe import stages
from charpipe.errors import CorpusError
from charpipe.events import Notice
from charpipe.stages import Context
from quiet_server import QuietHandler

PAGE = "<html><title>Oops</title></html>"
TEXT = "a text of some length\n" * 30


@pytest.fixture
def serve(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, bytes], str]]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folder = project / "served"
    folder.mkdir()
    times = itertools.count(1_700_000_000, 10)

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder))) as server:
        thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.02))
        thread.start()

        def put(name: str, data: bytes) -> str:
            (folder / name).write_bytes(data)
            os.utime(folder / name, (clock := next(times), clock))  # HTTP tells whole seconds apart only
            return f"http://127.0.0.1:{server.server_address[1]}/{name}"

        yield put
        server.shutdown()
        thread.join()


def characters(context: Context, url: str) -> int:
    return int(stages.ingest(context, url).facts["characters"])


def test_a_forced_ingestion_asks_again(serve, open_context) -> None:
    url = serve("text.txt", TEXT.encode())
    assert characters(open_context(), url) == len(TEXT)
    serve("text.txt", 2 * TEXT.encode())
    assert characters(open_context(), url) == len(TEXT)
    assert characters(open_context(force=frozenset({"ingest"})), url) == 2 * len(TEXT)


def test_a_forced_ingestion_without_the_server_reads_what_is_here(
    serve, open_context, heard, project: Path
) -> None:
    url = serve("text.txt", TEXT.encode())
    characters(open_context(), url)
    (project / "served" / "text.txt").unlink()
    assert characters(open_context(force=frozenset({"ingest"})), url) == len(TEXT)
    warned = [event.message for event in heard.of(Notice) if event.level == "warning"]
    assert len(warned) == 1 and url in warned[0] and "404" in warned[0] and "is read again" in warned[0]


def test_a_page_instead_of_a_text_warns_and_gives_way(serve, open_context, heard) -> None:
    url = serve("text.txt", PAGE.encode())
    assert characters(open_context(), url) == len(PAGE)
    warned = [event.message for event in heard.of(Notice) if event.level == "warning"]
    assert len(warned) == 1 and url in warned[0] and "HTML page" in warned[0]
    heard.clear()
    serve("text.txt", TEXT.encode())
    assert characters(open_context(), url) == len(TEXT)
    assert not [event for event in heard.of(Notice) if event.level == "warning"]


@pytest.mark.parametrize(
    "data",
    [gzip.compress(b"", mtime=0), gzip.compress(TEXT.encode(), mtime=0)[:-9], bytes(range(256)) * 9],
)
def test_a_download_without_text_is_not_kept(data: bytes, serve, open_context) -> None:
    url = serve("text.txt.gz", data)
    with pytest.raises(CorpusError, match="the download was removed"):
        characters(open_context(), url)
    serve("text.txt.gz", gzip.compress(TEXT.encode()))
    assert characters(open_context(), url) == len(TEXT)
