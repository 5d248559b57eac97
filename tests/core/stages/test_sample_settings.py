"""What the samples of a training need is checked before it begins."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from charpipe import stages
from charpipe.errors import UsageError
from charpipe.runs import list_runs
from charpipe.stages import Context, TrainRequest


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("sample.prompt", "hex", "'x'"),
        ("sample.top_k", 99, "top-k is 99"),
        ("sample.decoders", {"nope": {}}, "no decoder 'nope'"),
    ],
)
def test_samples_that_cannot_be_written_leave_no_run(
    open_session: Callable[..., Context], setting: str, value: object, said: str
) -> None:
    session = open_session(train__steps=2, **{setting.replace(".", "__"): value})
    documents = stages.ingest(session, "hello")
    vocabulary = stages.learn_vocabulary(session, "hello", documents)
    tokens = stages.encode(session, "hello", documents, vocabulary)
    with pytest.raises(UsageError, match=said):
        stages.train(session, TrainRequest("hello", "rnn"), tokens, vocabulary)
    assert list_runs(session.workspace.runs) == []
