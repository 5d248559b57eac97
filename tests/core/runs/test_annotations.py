"""Names, notes and tags of runs: which name finds a run, what is refused, and that a run keeps its first name."""

from __future__ import annotations

from pathlib import Path

import pytest

from charpipe.config.names import parse_tags
from charpipe.errors import RunError, UsageError
from charpipe.runs.annotations import FILE, Annotations, read_annotations, write_annotations
from charpipe.runs.find import find_run
from charpipe.runs.folder import Run, RunInfo
from charpipe.runs.library import RunLibrary
from charpipe.workspace import Workspace

FIRST, SECOND = "20260101-1200-hello-rnn-aaaa", "20260102-1200-hello-rnn-bbbb"


@pytest.fixture
def library(tmp_path: Path) -> RunLibrary:
    workspace = Workspace(tmp_path)
    for name in (FIRST, SECOND):
        info = RunInfo(
            name=name,
            created=name[:8],
            action="a" * 64,
            corpus="hello",
            architecture="rnn",
            architecture_config={},
            vocabulary_size=4,
            inputs={},
        )
        Run.create(workspace.runs / name, info)
    return RunLibrary(workspace)


def test_a_run_answers_to_both_names(library: RunLibrary) -> None:
    library.annotate(library.find(FIRST), Annotations(name="best-one"))
    assert library.find("best-one").name == FIRST
    assert library.find(FIRST).name == FIRST
    assert library.find("aaaa").name == FIRST


@pytest.mark.parametrize("name", ["last", "bbbb", SECOND, "20260102", "a" * 32, "second"])
def test_a_name_that_means_something_else_is_refused(library: RunLibrary, name: str) -> None:
    write_annotations(library.workspace.runs / SECOND, Annotations(name="second"))
    with pytest.raises(UsageError, match="choose another name"):
        library.annotate(library.find(FIRST), Annotations(name=name))
    assert read_annotations(library.workspace.runs / FIRST) == Annotations()


def test_a_run_may_be_renamed_to_its_own_name(library: RunLibrary) -> None:
    library.annotate(library.find(FIRST), Annotations(name="mine"))
    library.annotate(library.find("mine"), Annotations(name="mine", note="x"))
    assert read_annotations(library.find("mine").folder).note == "x"


def test_an_unknown_name_suggests_given_ones(library: RunLibrary) -> None:
    library.annotate(library.find(FIRST), Annotations(name="baseline"))
    with pytest.raises(UsageError, match="did you mean 'baseline'"):
        find_run(library.workspace.runs, "baselin")


def test_damaged_annotations_are_said_and_harm_no_other_run(library: RunLibrary) -> None:
    (library.workspace.runs / FIRST / FILE).write_text("{")
    with pytest.raises(RunError, match="cannot be read"):
        read_annotations(library.workspace.runs / FIRST)
    assert library.find("bbbb").name == SECOND


def test_tags_are_words_or_pairs() -> None:
    assert parse_tags(["baseline", "lr=0.1", "note=a=b", "größe"]) == {
        "baseline": "",
        "lr": "0.1",
        "note": "a=b",
        "größe": "",
    }


@pytest.mark.parametrize(
    "tag", ["", "=x", "a b", "mlflow.user", "charpipe.run", "Charpipe.x", "x=a\nb", "x" * 61]
)
def test_what_is_no_tag_is_refused(tag: str) -> None:
    with pytest.raises(UsageError, match="tag"):
        parse_tags([tag])
