"""Champions of a shared store: one at a time, changed by compare-and-swap; every machine finds it."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest
from challenges import text

from charpipe import stages
from charpipe.champions import champion, decisions
from charpipe.champions.errors import ChampionChangedError
from charpipe.champions.promotion import decline, promote
from charpipe.champions.state import read_state
from charpipe.errors import StoreUnreachableError, UsageError
from charpipe.plugins.registry import Registry
from charpipe.runs import Run
from charpipe.stages import Context, StageOutput, TrainRequest
from charpipe.stages.candidates import candidate_of
from charpipe.stages.rollback import roll_back
from charpipe.tracking import TrackingConfig
from charpipe.tracking.models import find_model
from run_machines import Machine

CORPUS = "mine.txt"


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Machine, Machine]:
    project = tmp_path / "project"
    project.mkdir()
    (project / CORPUS).write_text(text(1))
    (project / "pipelines.toml").write_text("")
    monkeypatch.chdir(project)
    return Machine(tmp_path / "a", tmp_path / "store"), Machine(tmp_path / "b", tmp_path / "store")


def trained(machine: Machine, steps: int) -> tuple[Context, stages.TrainedRun, StageOutput]:
    context = machine.context(
        train__steps=steps, train__evaluate_every=steps, architectures__rnn__hidden_size=8
    )
    documents = stages.ingest(context, CORPUS)
    vocabulary = stages.learn_vocabulary(context, CORPUS, documents)
    tokens = stages.encode(context, CORPUS, documents, vocabulary)
    return context, stages.train(context, TrainRequest(CORPUS, "rnn"), tokens, vocabulary), tokens


def challenge(machine: Machine, steps: int) -> stages.Promotion:
    context, run, tokens = trained(machine, steps)
    return stages.promote(context, run, tokens)


def lines(machine: Machine, corpus: str) -> list[tuple[str, bool]]:
    return [(line["run"], line["promoted"]) for line in decisions(machine.context().workspace, corpus)]


def test_champion_of_one_machine_is_loaded_on_another(machines: tuple[Machine, Machine]) -> None:
    a, b = machines
    first = challenge(a, 5)
    shutil.rmtree(a.root)
    context = b.context()
    runs = context.runs
    loaded = find_model("champion:mine.txt", context.workspace, Registry(), TrackingConfig(), runs=runs)
    assert loaded.name == first.run
    assert runs.find("champion:mine.txt").name == first.run
    assert lines(b, first.corpus) == [(first.run, True)]
    with pytest.raises(UsageError, match="no previous champion"):
        find_model("previous:mine.txt", context.workspace, Registry(), TrackingConfig(), runs=runs)


def test_challenger_on_another_machine_meets_the_champion_there(machines: tuple[Machine, Machine]) -> None:
    a, b = machines
    first = challenge(a, 60)
    shutil.rmtree(a.root)
    second = challenge(b, 5)
    assert not second.promoted
    assert second.champion == first.run
    third = challenge(b, 150)
    assert third.promoted and third.version == 2
    assert lines(a, first.corpus) == []
    found = a.context().runs.champion("champion:mine.txt")
    assert found is not None and found.run == third.run
    assert lines(a, first.corpus) == [(first.run, True), (second.run, False), (third.run, True)]


def test_two_machines_that_promote_at_once_leave_one_champion(machines: tuple[Machine, Machine]) -> None:
    a, b = machines
    ready = [trained(machine, steps) for machine, steps in ((a, 5), (b, 60))]
    made: list[stages.Promotion] = []
    threads = [
        threading.Thread(target=lambda one=one: made.append(stages.promote(*one)))  # type: ignore[misc]
        for one in ready
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 2
    corpus = made[0].corpus
    for machine in machines:
        machine.context().runs.champion("champion:mine.txt")
    states = [read_state(machine.context().workspace, corpus) for machine in machines]
    assert states[0] is not None and states[0] == states[1]
    assert {run for run, _ in lines(a, corpus)} == {one.run for one in made}
    assert lines(a, corpus) == lines(b, corpus)
    there = a.store / "champions" / "mine.txt"
    assert len(list(there.parent.glob("*/decisions/*.json"))) == 2


def test_switch_fails_where_another_machine_was_faster(machines: tuple[Machine, Machine]) -> None:
    """A machine that was stopped past its lease decides against a champion that is none any more."""
    a, b = machines
    first = challenge(a, 5)
    context, run, tokens = trained(b, 60)
    candidate = candidate_of(Run(context.workspace.root / run.path))
    shared = context.champions
    assert shared is not None
    account = {"promoted": True, "reason": "it is better", "tokens": tokens.digest}
    with pytest.raises(ChampionChangedError):
        promote(context.workspace, candidate, account, by="user", shared=shared)  # it believes there is none
    assert read_state(context.workspace, first.corpus) is None
    found = a.context().runs.champion("champion:mine.txt")
    assert found is not None and found.run == first.run
    decline(context.workspace, candidate, account | {"promoted": False}, by="user", shared=shared)
    again = stages.promote(context, run, tokens)
    assert again.promoted and again.version is not None and again.version > 1


def test_rollback_on_another_machine_counts_everywhere(machines: tuple[Machine, Machine]) -> None:
    a, b = machines
    first = challenge(a, 5)
    second = challenge(a, 150)
    assert second.promoted
    context = b.context()
    context.runs.refresh_champions()
    assert roll_back(context, first.corpus).run == first.run
    found = a.context().runs.champion("champion:mine.txt")
    assert found is not None and found.run == first.run
    assert not challenge(a, 150).promoted  # it was rolled back from


def test_champion_from_before_the_store_is_published(machines: tuple[Machine, Machine]) -> None:
    a, b = machines
    context = a.context(store__url=None, train__steps=5, train__evaluate_every=5)
    documents = stages.ingest(context, CORPUS)
    vocabulary = stages.learn_vocabulary(context, CORPUS, documents)
    tokens = stages.encode(context, CORPUS, documents, vocabulary)
    run = stages.train(context, TrainRequest(CORPUS, "rnn"), tokens, vocabulary)
    first = stages.promote(context, run, tokens)
    list(a.context().runs.push([]))
    found = b.context().runs.champion("champion:mine.txt")
    assert found is not None and found.run == first.run


def test_without_the_store_nothing_is_decided(machines: tuple[Machine, Machine]) -> None:
    a, _ = machines
    first = challenge(a, 60)
    context, run, tokens = trained(a, 5)
    a.backend.is_lost = True
    with pytest.raises(StoreUnreachableError, match=r"nothing was decided, and the champion of .* stays"):
        stages.promote(context, run, tokens)
    found = champion(context.workspace, first.corpus)
    assert found is not None and found.run == first.run
