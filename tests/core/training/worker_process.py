"""Trainings by several workers in processes of their own: `worker_process.py FOLDER`.

FOLDER/launches.json lists how many workers train what, one training after another: {"name", "arch", "settings",
"stop_at": updates after which it is stopped, "resume": the training whose last checkpoint to resume, "stops": the order
at which the last worker is asked to stop, "dies": that at which it ends}. FOLDER/NAME.json tells what came of each. The
workers are forks of one process, which has imported and compiled what all need.
"""

import hashlib
import itertools
import json
import os
import sys
import traceback
from pathlib import Path

import torch
import torch.distributed as dist

from charpipe.events import Finished, Step
from charpipe.models import build_model
from charpipe.plugins.registry import Registry
from charpipe.training import TrainConfig, last_checkpoint, train
from charpipe.training.errors import LostWorkerError
from charpipe.training.follower import follow
from charpipe.training.group import ALONE
from charpipe.training.process_group import ProcessGroup
from letters import Letters

TEXT = "the quick brown fox jumps over the lazy dog, and the dog sleeps on. " * 40
CONFIG = {"hidden_size": 12, "layers": 2, "dropout": 0.2, "recurrent_dropout": 0.1}


def weights_digest(network):
    digest = hashlib.sha256()
    for values in network.parameters():
        digest.update(values.detach().numpy().tobytes())
    return digest.hexdigest()


def build(job):
    architecture = Registry().architecture(job["architecture"])
    config = architecture.config(**job["config"])
    return build_model(architecture, config, job["vocabulary"], job["vocabulary_size"], seed=99)


def carry_out(folder, training, group=ALONE):
    """Train what an entry of trainings.json says. Returns the digest of the weights, the losses and the end."""
    letters = Letters(sorted(set(TEXT)))
    tokens = letters.encode(TEXT)
    architecture = Registry().architecture(training.get("arch", "lstm"))
    config = architecture.config(**CONFIG | training.get("config", {}))
    model = build_model(architecture, config, {"characters": letters.labels}, letters.size, seed=1)
    sizes = {"steps": 12, "batch_size": 8, "window": 8, "evaluate_every": 5, "device": "cpu", "shards": 4}
    resume, stop_at, losses = training.get("resume"), training.get("stop_at"), []
    events = train(
        model, tokens[:1200], TrainConfig(**sizes | training["settings"]), validation=tokens[1200:1500],
        checkpoints=folder / training["name"], resume=last_checkpoint(folder / resume) if resume else None,
        stop=lambda: stop_at is not None and len(losses) >= stop_at, group=group,
    )  # fmt: skip
    for event in events:
        if isinstance(event, Step):
            losses.append(float(event.loss))
        if isinstance(event, Finished):
            end = {"reason": event.reason, "step": event.step}
    return {"weights": weights_digest(model.network), "losses": losses, **end}


def last_worker(training):
    """The function that says whether to stop, of the last worker; it is called before each order."""
    orders, stops, dies = itertools.count(1), training.get("stops"), training.get("dies")

    def stop():
        number = next(orders)
        if number == dies:
            os._exit(9)
        return number == stops

    return stop


def work(folder, rank, size, trainings):
    """What one of `size` workers does: rank 0 trains, and writes what came of it."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=size)
    group = ProcessGroup()
    if rank:
        follow(group, build, last_worker(trainings[0]) if rank == size - 1 else lambda: False)
        return
    for training in trainings:
        record(folder, training, group)
    group.end()


def record(folder, training, group=ALONE):
    try:
        found = carry_out(folder, training, group)
    except LostWorkerError as error:
        found = {"error": str(error)}
    (folder / f"{training['name']}.json").write_text(json.dumps(found))


def run_workers(folder, size, trainings):
    """Fork the workers, and wait for them."""
    (folder / "meeting").unlink(missing_ok=True)
    children = []
    for rank in range(size):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                work(folder, rank, size, trainings)
                status = 0
            except BaseException:
                traceback.print_exc()
            os._exit(status)
        children.append(child)
    ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert ends == [0] * (size - 1) + [9 if "dies" in trainings[0] else 0], ends


def main(folder):
    """Carry out FOLDER/launches.json: [[SIZE, [training, ...]], ...]."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    for size, trainings in json.loads((folder / "launches.json").read_text()):
        if size > 1:
            run_workers(folder, size, trainings)
        for training in trainings if size == 1 else ():
            record(folder, training)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
