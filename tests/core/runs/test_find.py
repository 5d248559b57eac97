"""Short names and titles, and which runs `last` passes over."""

from __future__ import annotations

from pathlib import Path

import pytest

from charpipe.errors import RunError, UsageError
from charpipe.runs import Run, RunInfo, find_run


def make(folder: Path, name: str, created: str, *, model: bool = False, **status: object) -> Run:
    info = RunInfo(
        schema="charpipe.run/1",
        name=name,
        created=created,
        action="a",
        corpus="hello",
        architecture="lstm",
        architecture_config={"layers": 1, "hidden_size": 128},
        vocabulary_size=4,
        inputs={},
    )
    run = Run.create(folder / name, info)
    if model:
        (run.folder / "checkpoints" / "1").mkdir(parents=True)
        status["last"] = {"step": 1, "path": "checkpoints/1"}
    run.update(**status)
    return run


@pytest.mark.parametrize(
    "wanted", ["31a4", "lstm 1x128 · 31a4", "lstm  1x128 · 31a4", "lstm 1x128 seed 1 · 31a4"]
)
def test_short_name_and_title_find_the_run(tmp_path: Path, wanted: str) -> None:
    run = make(tmp_path, "20260101-0900-hello-lstm-31a4", "1")
    make(tmp_path, "20260101-0900-31a4-lstm-77aa", "2")  # a corpus of that name
    assert find_run(tmp_path, wanted).name == run.name


def test_title_of_another_model_finds_nothing(tmp_path: Path) -> None:
    make(tmp_path, "20260101-0900-hello-lstm-31a4", "1")
    with pytest.raises(UsageError, match="there is no run"):
        find_run(tmp_path, "gru 1x128 · 31a4")


def test_short_name_of_two_runs_lists_both(tmp_path: Path) -> None:
    names = ["20260101-0900-hello-lstm-31a4", "20260102-0900-hello-lstm-31a4"]
    for name in names:
        make(tmp_path, name, name)
    with pytest.raises(UsageError) as error:
        find_run(tmp_path, "31a4")
    assert all(name in str(error.value) for name in names)


def test_last_passes_over_failed_starts(tmp_path: Path) -> None:
    good = make(tmp_path, "20260101-0900-hello-lstm-aaaa", "1", model=True, state="interrupted")
    failed = make(tmp_path, "20260102-0900-hello-lstm-bbbb", "2", state="failed")
    assert find_run(tmp_path, "last", use="model").name == good.name
    assert find_run(tmp_path, "last", use="resume").name == good.name
    assert find_run(tmp_path, "last", use="any").name == failed.name


def test_last_to_resume_passes_over_finished_runs(tmp_path: Path) -> None:
    open_ = make(tmp_path, "20260101-0900-hello-lstm-aaaa", "1", model=True, state="interrupted")
    make(tmp_path, "20260102-0900-hello-lstm-bbbb", "2", model=True, state="finished")
    assert find_run(tmp_path, "last", use="resume").name == open_.name


def test_last_without_a_usable_run_says_so(tmp_path: Path) -> None:
    make(tmp_path, "20260102-0900-hello-lstm-bbbb", "2", state="failed")
    with pytest.raises(RunError, match=r"no run here has a model yet.*bbbb, is failed"):
        find_run(tmp_path, "last", use="model")
    with pytest.raises(RunError, match="no run here can be resumed"):
        find_run(tmp_path, "last", use="resume")
