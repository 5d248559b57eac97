"""Uploading to the Hub, by its own client: a server on this machine answers as the Hub does."""

from __future__ import annotations

import base64
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from charpipe.errors import CharpipeError, UsageError
from charpipe.exports.folder import write_folder
from charpipe.exports.hub import check_hub, push

from exported_models import FACTS, loaded_of  # isort: skip

constants = pytest.importorskip("huggingface_hub.constants")


class Hub(ThreadingHTTPServer):
    """Keeps what is asked of it; `refuses` is the status of every answer, if set."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.asked: list[tuple[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.refuses = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answers(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.answer({"id": "me/model", "sha": "0" * 40, "siblings": []})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        lines = [json.loads(line) for line in body.decode().splitlines() if line.strip()]
        self.server.asked.append((self.path, lines))
        if self.server.refuses:
            self.answer({"error": "no"}, self.server.refuses)
        elif self.path.endswith("/preupload/main"):
            paths = [one["path"] for one in lines[0]["files"]]
            self.answer(
                {"files": [{"path": p, "uploadMode": "regular", "shouldIgnore": False} for p in paths]}
            )
        elif self.path.endswith("/commit/main"):
            files = [line["value"] for line in lines if line["key"] == "file"]
            self.server.files = {one["path"]: base64.b64decode(one["content"]) for one in files}
            self.answer({"commitUrl": f"{self.server.url}/me/model/commit/1", "commitOid": "1" * 40})
        else:
            self.answer(
                {"url": f"{self.server.url}/me/model", "id": "me/model", "warnings": [], "errors": []}
            )

    def answer(self, value: Any, status: int = 200) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "model"
    write_folder(loaded_of("gru"), FACTS, place)
    (place / "notes.txt").write_text("not for others")
    return place


def test_a_push_uploads_the_four_files_to_a_private_repository(hub: Hub, folder: Path) -> None:
    assert push(folder, "me/model", FACTS) == f"{hub.url}/me/model"
    (created,) = [lines[0] for path, lines in hub.asked if path == "/api/repos/create"]
    assert (created["name"], created["organization"]) == ("model", "me")
    assert created.get("private") is True or created.get("visibility") == "private"
    assert hub.files.keys() == {"README.md", "config.json", "model.safetensors", "vocabulary.json"}
    for name, content in hub.files.items():
        assert content == (folder / name).read_bytes()


@pytest.mark.parametrize(("status", "sentence"), [(401, "hf auth login"), (403, "the Hub refused me/model")])
def test_a_refusal_is_one_sentence_and_the_folder_is_kept(
    hub: Hub, folder: Path, status: int, sentence: str
) -> None:
    hub.refuses = status
    with pytest.raises(CharpipeError, match=sentence) as told:
        push(folder, "me/model", FACTS)
    assert f"{folder} is kept" in str(told.value) and "\n" not in str(told.value)


def test_a_hub_that_does_not_answer_is_one_sentence(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(CharpipeError, match="the Hub cannot be reached"):
        push(folder, "me/model", FACTS)


def test_a_missing_huggingface_hub_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UsageError, match="type: pip install huggingface_hub"):
        check_hub("me/model")


@pytest.mark.parametrize("name", ["", "a/b/c", "a b", "/x", "https://huggingface.co/a/b"])
def test_a_name_that_is_no_repository_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="give OWNER/NAME"):
        check_hub(name)
