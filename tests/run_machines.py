"""Machines that share a store and a project: each has a workspace of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from charpipe import stages
from charpipe.config import load_config
from charpipe.errors import StoreUnreachableError
from charpipe.events import Checkpointed, Event, Notice
from charpipe.plugins.registry import Registry
from charpipe.runs import Run
from charpipe.stages import Context, TrainRequest
from charpipe.stages.sharing import Sharing
from charpipe.store.backends import Backend
from charpipe.store.backends.folder import Folder
from charpipe.workspace import Workspace

CORPUS = "mine.txt"
TEXT = "the quick brown fox jumps over the lazy dog. " * 40
SETTINGS = {
    "tracking.enabled": False, "train.steps": 24, "train.batch_size": 4, "train.window": 8, "sample.length": 40,
    "train.evaluate_every": 5, "train.engine": "plain", "train.device": "cpu",
    "architectures.lstm.hidden_size": 8, "architectures.lstm.layers": 2, "architectures.lstm.dropout": 0.2,
}  # fmt: skip


class Unplugged(Folder):
    """A store that can be lost: while `is_lost` nothing answers."""

    is_lost = False

    def _path(self, key: str) -> Path:
        if self.is_lost:
            raise StoreUnreachableError(f"{self.url} does not answer (unplugged)")
        return super()._path(key)


class Wired(Sharing):
    """Gives a context this backend."""

    def __init__(self, backend: Backend) -> None:
        super().__init__()
        self._backend = backend

    def backend(self, config: Any, registry: Any) -> Backend | None:
        return None if config.url is None else self._backend


@dataclass
class Machine:
    """A machine with a workspace, and a store that others share."""

    root: Path
    store: Path
    lease: str = "2s"
    heard: list[Event] = field(default_factory=list)
    backend: Unplugged = field(init=False)

    def __post_init__(self) -> None:
        self.backend = Unplugged(self.store, self.url)

    @property
    def url(self) -> str:
        return self.store.as_uri()

    def context(self, listen: Callable[[Event], None] = lambda event: None, **settings: Any) -> Context:
        given = SETTINGS | {"store.url": self.url, "store.lease": self.lease}
        given |= {key.replace("__", "."): value for key, value in settings.items()}

        def emit(event: Event) -> None:
            self.heard.append(event)
            listen(event)

        workspace = Workspace(self.root / ".charpipe")
        found = Context(workspace, load_config(settings=given), Registry(), emit=emit)
        return replace(found, sharing=Wired(self.backend))

    def warnings(self) -> list[str]:
        return [
            event.message for event in self.heard if isinstance(event, Notice) and event.level == "warning"
        ]

    def notices(self) -> list[str]:
        return [event.message for event in self.heard if isinstance(event, Notice)]

    def run(self, name: str) -> Run:
        return Run(self.root / ".charpipe" / "runs" / name)


def train(context: Context) -> stages.TrainedRun:
    documents = stages.ingest(context, CORPUS)
    vocabulary = stages.learn_vocabulary(context, CORPUS, documents)
    tokens = stages.encode(context, CORPUS, documents, vocabulary)
    asked = {"corpus": CORPUS, "arch": "lstm"}
    return stages.train(context, TrainRequest(CORPUS, "lstm", options=asked), tokens, vocabulary)


def train_and_score(context: Context) -> stages.TrainedRun:
    documents = stages.ingest(context, CORPUS)
    vocabulary = stages.learn_vocabulary(context, CORPUS, documents)
    tokens = stages.encode(context, CORPUS, documents, vocabulary)
    asked = {"corpus": CORPUS, "arch": "lstm"}
    trained = stages.train(context, TrainRequest(CORPUS, "lstm", options=asked), tokens, vocabulary)
    stages.evaluate(context, trained, tokens)
    stages.sample(context, trained)
    return trained


def stop_after(step: int, context: Context) -> Context:
    """The same context, which is asked to stop once the checkpoint of a step is complete."""
    emit = context.emit

    def listen(event: Event) -> None:
        emit(event)
        if isinstance(event, Checkpointed) and event.step >= step:
            context.stop.request(2)

    return replace(context, emit=listen)


def weights(run: Run) -> str:
    """The digest of the model and the optimizer state of a run's last checkpoint."""
    return digest_of_weights(run.checkpoint("last"))


def digest_of_weights(checkpoint: Path) -> str:
    """The digest of the model and the optimizer state of a checkpoint."""
    found = hashlib.sha256()
    for name in ("model.safetensors", "optimizer.safetensors"):
        found.update((checkpoint / name).read_bytes())
    return found.hexdigest()
