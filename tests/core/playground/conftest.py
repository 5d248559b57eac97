"""A playground with a small model, served in a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from charpipe.config.settings.sampling import SampleConfig
from charpipe.models import build_model
from charpipe.playground import Playground, PlaygroundServer, open_server
from charpipe_lstm import charpipe_architectures
from letters import Letters

LABELS = "\nabcdef <"


@pytest.fixture(scope="module")
def playground() -> Playground:
    (lstm,) = charpipe_architectures()
    predictor = build_model(lstm, lstm.config(hidden_size=9), {}, len(LABELS)).predictor()
    settings = SampleConfig(length=40, prompt="ab", seed=3)
    return Playground("a-run", "a small LSTM", predictor, Letters(LABELS), settings)


@pytest.fixture
def server(playground: Playground) -> Iterator[PlaygroundServer]:
    opened = open_server(playground)
    thread = threading.Thread(target=opened.serve_forever, args=(0.05,))
    thread.start()
    yield opened
    opened.shutdown()
    opened.server_close()
    thread.join()
