"""Trains one run for each place at which a process can be killed, and kills itself there.

    python killing.py FOLDER PLACE...

It imports once and forks for every place, so that each death is a process's own. The run is named after its place.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from pathlib import Path

from charpipe import stages
from charpipe.config import load_config
from charpipe.events import Checkpointed, Step
from charpipe.plugins.registry import Registry
from charpipe.runs import Recorder, recorder
from charpipe.stages import Context, TrainRequest, plan, training
from charpipe.store import atomic
from charpipe.training import checkpoints, snapshot
from charpipe.workspace import Workspace

SAVED = 15
"""The step whose checkpoint is being written; those of 5 and 10 are whole."""
PLACES = {
    "uninterrupted": None,
    "in-a-step": 15,
    "before-the-write": 10,
    "within-the-write": 10,
    "before-the-manifest": 10,
    "before-the-rename": 10,
    "after-the-rename": 15,
    "within-a-removal": 15,
    "before-the-status": 15,
}
"""Where to die, and the step from which the run then goes on."""


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def context(folder: Path, **others) -> Context:
    settings = {
        "tracking.enabled": False, "train.steps": 24, "train.batch_size": 4, "train.window": 8, "sample.length": 40,
        "train.evaluate_every": 5, "train.engine": "plain", "train.device": "cpu",
        "architectures.lstm.hidden_size": 8, "architectures.lstm.layers": 2, "architectures.lstm.dropout": 0.2,
    }  # fmt: skip
    return Context(Workspace(folder / ".charpipe"), load_config(settings=settings), Registry(), **others)


def train(opened: Context) -> stages.TrainedRun:
    documents = stages.ingest(opened, "mine.txt")
    vocabulary = stages.learn_vocabulary(opened, "mine.txt", documents)
    tokens = stages.encode(opened, "mine.txt", documents, vocabulary)
    return stages.train(opened, TrainRequest("mine.txt", "lstm"), tokens, vocabulary)


def of_the_step(folder: Path, then) -> None:
    """`then()` where a checkpoint's temporary folder holds the one of step SAVED."""
    if f'"step": {SAVED},' in (folder / "state.json").read_text():
        then()


def arrange(place: str) -> None:
    """Let this process die at that place."""
    write, describe, publish = snapshot.Snapshot._write, checkpoints.describe, checkpoints.publish_folder
    remove = shutil.rmtree

    def writing(saved, folder):
        if saved.step == SAVED and place == "before-the-write":
            die()
        if saved.step > SAVED and place == "in-a-step":
            threading.Event().wait()  # however late that of SAVED is heard of, no later one lies on disk
        write(saved, folder)
        if saved.step == SAVED and place == "within-the-write":
            path = folder / "optimizer.safetensors"
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
            die()

    def describing(folder, *words):
        if place == "before-the-manifest":
            of_the_step(folder, die)
        return describe(folder, *words)

    def publishing(made, final):
        if place == "before-the-rename" and final.name.endswith(str(SAVED)):
            atomic.sync_folder(made)
            die()
        publish(made, final)
        if place == "after-the-rename" and final.name.endswith(str(SAVED)):
            die()

    def removing(path, **more):
        state = Path(path) / "state.json"
        if place == "within-a-removal" and state.is_file():  # the oldest one's, once that of SAVED is there
            state.unlink()
            die()
        remove(path, **more)

    class Told(Recorder):
        def _checkpointed(self, event):
            if place == "before-the-status" and event.step == SAVED:
                die()
            super()._checkpointed(event)

    snapshot.Snapshot._write, checkpoints.describe = writing, describing
    checkpoints.publish_folder, shutil.rmtree = publishing, removing
    training.Recorder = recorder.Recorder = Told
    plan.new_name = lambda corpus, arch: place


def main() -> None:
    folder, places = Path(sys.argv[1]), sys.argv[2:]
    for place in places:
        child = os.fork()
        if child == 0:
            arrange(place)

            saved = []

            def listen(event, place=place, saved=saved):
                saved += [event.step] if isinstance(event, Checkpointed) else []
                if place == "in-a-step" and isinstance(event, Step) and SAVED in saved:
                    die()

            train(context(folder, emit=listen, force=frozenset({"train"})))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{place} {-os.waitstatus_to_exitcode(status)}\n")


if __name__ == "__main__":
    main()
