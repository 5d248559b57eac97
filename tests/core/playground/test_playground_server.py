"""The page's server: what it answers, and whom."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from typing import Any

import pytest

from charpipe.errors import UsageError
from charpipe.generation import SampleConfig, sample
from charpipe.playground import open_server
from letters import Letters
from waiting import until

REQUEST = {"prompt": "ab", "length": 30, "temperature": 1.0, "top_k": None, "top_p": None, "seed": 3}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def ask(server):
    """The status, headers and body of an answer."""

    def asked(method: str, path: str, values: Any = None, **headers: str) -> tuple[int, Any, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
        body = values if isinstance(values, bytes | None) else json.dumps(values).encode()
        connection.request(
            method, path, body, {**JSON, **{k.replace("_", "-"): v for k, v in headers.items()}}
        )
        answer = connection.getresponse()
        found = answer.status, answer.headers, answer.read()
        connection.close()
        return found

    return asked


def lines(body: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in body.splitlines()]


def test_text_is_that_of_sample(ask, playground):
    status, _, body = ask("POST", "/write", REQUEST)
    answers = lines(body)
    assert status == 200
    assert answers[-1] == {"done": True}
    assert [answer.get("given") for answer in answers[:3]] == [True, True, None]
    settings = SampleConfig(prompt="ab", length=30, temperature=1.0, seed=3)
    text = "".join(answer["text"] for answer in answers[:-1])
    assert text == sample(playground._predictor, Letters("\nabcdef <"), settings)


def test_bars_are_the_most_probable_characters(ask):
    _, _, body = ask("POST", "/write", REQUEST)
    first, *answers = lines(body)[:-1]
    assert (first["chance"], first["bars"]) == (None, [])  # nothing was read before it
    for answer in answers:
        chances = [chance for _, chance in answer["bars"]]
        assert chances == sorted(chances, reverse=True)
        assert sum(chances) == pytest.approx(1, abs=1e-3)
        assert 0 < answer["chance"] <= 1
    _, _, body = ask("POST", "/next", {"text": "ab"})
    assert json.loads(body)["bars"] == lines(ask("POST", "/write", REQUEST)[2])[2]["bars"]


def test_page_is_whole_and_is_kept_by_nobody(ask):
    status, headers, body = ask("GET", "/")
    assert status == 200
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Security-Policy"] == "frame-ancestors 'none'"
    page = body.decode()
    assert "connect-src 'self'" in page
    assert "src=" not in page.replace("script-src", "").replace("style-src", "")


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:80"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
    ids=str,
)
def test_other_sites_get_nothing(ask, headers):
    status, _, body = ask("POST", "/write", REQUEST, **headers)
    assert status == 403
    assert b"answers only" in body


def test_another_name_of_the_machine_gets_no_page(ask, server):
    assert ask("GET", "/", Host="evil.example")[0] == 403
    assert ask("GET", "/", Host=f"localhost:{server.server_port}")[0] == 200
    assert ask("GET", "/", Host=f"127.0.0.1:{server.server_port + 1}")[0] == 403


def test_its_own_page_may_ask(ask, server):
    own = f"http://127.0.0.1:{server.server_port}"
    assert ask("POST", "/next", {"text": ""}, Origin=own, Sec_Fetch_Site="same-origin")[0] == 200


@pytest.mark.parametrize(
    ("values", "status", "words"),
    [
        ({**REQUEST, "prompt": "aß"}, 400, "the vocabulary has no 'ß'"),
        ({**REQUEST, "top_k": 99}, 400, "top-k is 99, but the vocabulary has 9 tokens"),
        ({**REQUEST, "temperature": -1}, 400, "temperature"),
        ({**REQUEST, "length": 10**9}, 400, "length"),
        ({**REQUEST, "length": "9"}, 400, "length"),
        ({**REQUEST, "engine": "plain"}, 400, "engine"),
        ({"prompt": "a"}, 400, "Field required"),
        (b"[1]", 400, "not a JSON object"),
        (b"{", 400, "not a JSON object"),
        (b"[" * 100_000, 400, "not a JSON object"),
        (b" " * ((1 << 20) + 1), 413, "at most"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_requests_get_a_sentence(ask, values, status, words):
    found, _, body = ask("POST", "/write", values)
    assert found == status
    assert words in json.loads(body)["error"]


def test_requests_that_are_not_json_are_refused(ask):
    """A form of another site can send these without asking."""
    assert ask("POST", "/write", REQUEST, Content_Type="text/plain")[0] == 415


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/write", {}, 413),
        ("/elsewhere", {}, 404),
        ("/write", {"Content_Type": "text/plain"}, 415),
        ("/write", {"Origin": "http://evil.example"}, 403),
    ],
    ids=str,
)
def test_answer_arrives_though_the_request_was_not_read(ask, path, headers, status):
    """A text of a book is sent; a connection that is closed with bytes unread is reset."""
    assert ask("POST", path, b" " * (1 << 24), **headers)[0] == status


def test_a_closed_server_has_no_connections_left(playground):
    """A browser opens connections ahead of its requests, and they wait."""
    server = open_server(playground)
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    with socket.create_connection(("127.0.0.1", server.server_port)):
        until(lambda: server._connections)
        server.shutdown()
        server.server_close()
        assert not server._connections
    serving.join()


def test_unknown_paths(ask):
    assert ask("GET", "/etc/passwd")[0] == 404
    assert ask("POST", "/", REQUEST)[0] == 404


def test_a_port_in_use_is_told(server, playground):
    with pytest.raises(UsageError, match=f"port {server.server_port} cannot be used"):
        open_server(playground, server.server_port)
