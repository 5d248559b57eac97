"""Starting from another run: what is learnt stays, the vocabulary grows, and what does not fit is refused by name."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from charpipe import stages
from charpipe.errors import InterruptedRun, RunError, UsageError
from charpipe.events import Step
from charpipe.runs import find_run, list_runs
from charpipe.stages import Context, TrainRequest

TEXT = "the quick brown fox jumps over the lazy dog. " * 40


def pipeline(context: Context, corpus: str = "mine.txt", arch: str = "rnn", start: str | None = None):
    beginning = stages.find_warm_start(context, start)
    documents = stages.ingest(context, corpus)
    vocabulary = stages.learn_vocabulary(context, corpus, documents, beginning)
    tokens = stages.encode(context, corpus, documents, vocabulary)
    options = {"corpus": corpus, "arch": arch, "from_": start}
    request = TrainRequest(corpus, arch, "train-and-sample", options, beginning)
    return stages.train(context, request, tokens, vocabulary), vocabulary


@pytest.fixture
def corpus(project: Path) -> Path:
    path = project / "mine.txt"
    path.write_text(TEXT)
    return path


def test_a_run_goes_on_from_another_with_new_characters(corpus: Path, open_context, heard) -> None:
    first, before = pipeline(open_context())
    corpus.write_text(TEXT + "Žluťoučký kůň! " * 30)
    second, after = pipeline(open_context(), start=first.run)
    run = find_run(open_context().workspace.runs, second.run)
    assert run.info.parent == first.run
    assert run.info.facts["start"]["offset"] == 12
    old, new = (
        json.loads((open_context().path(one) / "vocabulary.json").read_text()) for one in (before, after)
    )
    assert new["characters"].startswith(old["characters"])
    assert len(new["characters"]) > len(old["characters"])
    third, _ = pipeline(open_context(), start=second.run)
    assert find_run(open_context().workspace.runs, third.run).info.facts["start"]["offset"] == 24
    again, _ = pipeline(open_context(), start=second.run)
    assert (again.run, again.reused) == (third.run, True)


def test_the_parent_is_part_of_what_decides(corpus: Path, open_context) -> None:
    first, _ = pipeline(open_context())
    fresh = pipeline(open_context(train__seed=2))[0]
    one = pipeline(open_context(train__seed=3), start=first.run)[0]
    other = pipeline(open_context(train__seed=3), start=fresh.run)[0]
    plain = pipeline(open_context(train__seed=3))[0]
    assert len({one.run, other.run, plain.run}) == 3


def test_interrupted_it_is_gone_on_with_from_where_it_began(corpus: Path, open_context, heard) -> None:
    first, _ = pipeline(open_context())
    context = open_context(train__seed=2)

    def stop_at_five(event) -> None:
        if isinstance(event, Step) and event.step == 5:
            context.stop.request(2)

    context = replace(context, emit=stop_at_five)
    with pytest.raises(InterruptedRun):
        pipeline(context, start=first.run)
    run = list_runs(context.workspace.runs)[-1]
    finished, _ = pipeline(open_context(train__seed=2, resume=run), start="a name that is gone")
    assert (finished.run, finished.steps) == (run.name, 12)


@pytest.mark.parametrize(
    ("settings", "arch", "message"),
    [
        ({}, "gru", "that is a rnn, and a gru is wanted"),
        ({"architectures__rnn__hidden_size": 9}, "rnn", "hidden_size 8 -> 9"),
        ({"architectures__rnn__layers": 2}, "rnn", "layers 1 -> 2"),
    ],
)
def test_another_model_is_refused_before_a_run_is_made(corpus, open_context, settings, arch, message) -> None:
    first, _ = pipeline(open_context())
    with pytest.raises(RunError, match=message):
        pipeline(open_context(**settings), arch=arch, start=first.run)
    assert len(list_runs(open_context().workspace.runs)) == 1


def test_dropout_may_change(corpus: Path, open_context) -> None:
    first, _ = pipeline(open_context())
    second, _ = pipeline(open_context(architectures__rnn__dropout=0.3), start=first.run)
    assert not second.reused


def test_another_tokenizer_is_refused(corpus: Path, open_context) -> None:
    first, _ = pipeline(open_context())
    with pytest.raises(UsageError, match="has a char vocabulary"):
        pipeline(open_context(corpus__tokenizer__name="byte"), start=first.run)


def test_an_unknown_run_is_named(corpus: Path, open_context) -> None:
    pipeline(open_context())
    with pytest.raises(UsageError, match="there is no run 'nonesuch'"):
        pipeline(open_context(), start="nonesuch")
    with pytest.raises((UsageError, RunError), match="champion"):
        pipeline(open_context(), start="champion:mine.txt")
