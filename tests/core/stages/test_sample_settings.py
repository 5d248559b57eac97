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
    open_context: Callable[..., Context], setting: str, value: object, said: str
) -> None:
    context = open_context(train__steps=2, **{setting.replace(".", "__"): value})
    documents = stages.ingest(context, "hello")
    vocabulary = stages.learn_vocabulary(context, "hello", documents)
    tokens = stages.encode(context, "hello", documents, vocabulary)
    with pytest.raises(UsageError, match=said):
        stages.train(context, TrainRequest("hello", "rnn"), tokens, vocabulary)
    assert list_runs(context.workspace.runs) == []
