"""Runs and champions on a real S3 server."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from charpipe import stages
from charpipe.config import load_config
from charpipe.errors import InterruptedRun
from charpipe.events import Checkpointed, Event, TrainingStarted
from charpipe.stages import Context, TrainRequest
from charpipe.stages.sharing import Sharing
from object_storage_server import ObjectStorageServer
from run_machines import CORPUS, Machine, stop_after, weights

pytestmark = pytest.mark.cluster
Machines = Callable[[str], Machine]


def on_s3(machine: Machine, server: ObjectStorageServer, folder: str, **settings: Any) -> Context:
    """A context of this machine whose shared store is a folder of the server's bucket."""
    context = machine.context(**settings)
    given = dict(context.config.model_dump(include={"train", "architectures", "sample"}))
    given |= {"tracking": {"enabled": False}}
    given["store"] = {"url": f"s3://charpipe/{folder}", "endpoint": server.endpoint, "lease": "5s"}
    return replace(context, resolved=load_config(settings=given), sharing=Sharing())


def train(context: Context) -> tuple[stages.TrainedRun, stages.StageOutput]:
    documents = stages.ingest(context, CORPUS)
    vocabulary = stages.learn_vocabulary(context, CORPUS, documents)
    tokens = stages.encode(context, CORPUS, documents, vocabulary)
    return stages.train(context, TrainRequest(CORPUS, "lstm"), tokens, vocabulary), tokens


def test_interrupted_run_is_finished_and_promoted_elsewhere(
    machine: Machines, s3_server: ObjectStorageServer
) -> None:
    a, b, alone = machine("a"), machine("b"), machine("alone")
    with pytest.raises(InterruptedRun):
        train(stop_after(10, on_s3(a, s3_server, "first")))
    shutil.rmtree(a.root)
    context = on_s3(b, s3_server, "first")
    trained, tokens = train(context)
    (step,) = [event.step for event in b.heard if isinstance(event, TrainingStarted)]
    assert step >= 10
    assert stages.promote(context, trained, tokens).promoted
    undisturbed, _ = train(alone.context(store__url=None))
    assert weights(b.run(trained.run)) == weights(alone.run(undisturbed.run))
    third = on_s3(machine("third"), s3_server, "first").runs
    kept = third.champion("champion:mine.txt")
    assert kept is not None and kept.run == trained.run
    assert third.find("champion:mine.txt").status.state == "finished"
    assert third.find("last", checkpoint="best").checkpoint("best").is_dir()


def test_server_killed_in_training_costs_one_warning(
    machine: Machines, s3_server: ObjectStorageServer
) -> None:
    a, b = machine("a"), machine("b")
    context = on_s3(a, s3_server, "second")

    def listen(event: Event) -> None:
        context.emit(event)
        if isinstance(event, Checkpointed) and event.step == 10:
            s3_server.kill()

    try:
        trained, _ = train(replace(context, emit=listen))
    finally:
        s3_server.start()
    assert not trained.reused
    assert len(a.warnings()) == 1
    again, _ = train(
        on_s3(a, s3_server, "second")
    )  # the next command, while the lease of the first is not over
    assert again.run == trained.run
    shutil.rmtree(a.root)
    there, _ = train(on_s3(b, s3_server, "second"))
    assert (there.run, there.reused) == (trained.run, True)
