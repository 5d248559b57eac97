"""charpipe's own commands, metrics and storage backends, provided by the hooks that plugins use.

It imports no command, no torch and no storage library.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Literal

from charpipe.plugins.contracts import Facts
from charpipe.plugins.references import hookimpl
from charpipe.plugins.specs import Check, Command, Metric, StorageBackend

WHEN: Mapping[str, Literal["update", "evaluation"]] = {
    "train": "update",
    "val": "evaluation",
    "test": "evaluation",
}
CHECKS = (
    ("python", "Python's version, and charpipe's", "versions:python"),
    ("packages", "the packages that charpipe needs", "versions:packages"),
    ("extras", "the packages that a team's servers need", "versions:extras"),
    ("processor", "the processor, and which engines train and sample with it", "processor:processor"),
    ("threads", "how many processors can be used", "processor:threads"),
    ("gpu", "the GPU, and whether PyTorch can use it", "processor:gpu"),
    ("project", "the project file", "project:project"),
    ("plugins", "the plugins, with the digests of their code", "plugins:plugins"),
    ("workspace", "the workspace and its disk", "workspace:workspace"),
    ("servers", "the workspace's own MLflow server", "workspace:mlflow_server"),
    ("tracking", "the MLflow that runs are logged to", "tracking:tracking"),
    ("store", "the store that machines share", "shared_store:shared_store"),
    ("credentials", "which credentials are present, by name", "credentials:credentials"),
)
MAX_EXPONENT = 700.0
"""Nats from which on exp() overflows a float."""


@hookimpl
def charpipe_commands() -> Iterable[Command]:
    """The commands in the order in which `charpipe --help` lists them; groups come first there."""
    yield Command("run", "Run a pipeline.", "charpipe.cli.run:run_app", factory=True)
    yield Command("resume", "Continue an interrupted run.", "charpipe.cli.run:resume")
    yield Command("sample", "Generate text with a trained model.", "charpipe.cli.sample:sample")
    yield Command("evaluate", "Score a trained model on text.", "charpipe.cli.evaluate:evaluate")
    yield Command("inspect", "Show what the units of a model detect.", "charpipe.cli.inspect:inspect")
    yield Command("report", "Write a run's report.", "charpipe.cli.report:report")
    yield Command(
        "export", "A trained model for others: folder, web page or ONNX.", "charpipe.cli.export:export"
    )
    yield Command("gc", "Remove files that nothing refers to.", "charpipe.cli.gc:gc")
    yield Command(
        "models", "The champion of each corpus, and its earlier versions.", "charpipe.cli.models:app"
    )
    yield Command("runs", "The runs of this workspace.", "charpipe.cli.runs:app")
    yield Command("corpora", "The corpora that charpipe knows.", "charpipe.cli.corpora:app")
    yield Command("plugins", "Architectures, tokenizers, sources, pipelines.", "charpipe.cli.plugins:app")
    yield Command("pipelines", "The pipelines that `charpipe run` can run.", "charpipe.cli.pipelines:app")
    yield Command("config", "Settings, and where they came from.", "charpipe.cli.config:app")
    yield Command("init", "Make a project: a file and a folder.", "charpipe.cli.init:init")
    yield Command("doctor", "What is installed and reachable.", "charpipe.cli.doctor:doctor")


@hookimpl
def charpipe_checks() -> Iterable[Check]:
    """The checks of `charpipe doctor`, in its order."""
    for name, summary, function in CHECKS:
        yield Check(name, summary, f"charpipe.diagnostics.{function}")


@hookimpl
def charpipe_stores() -> Iterable[StorageBackend]:
    """A folder, and object storage."""
    folder = "charpipe.store.backends.folder:open_folder"
    objects = "charpipe.store.backends.object_storage:open_object_storage"
    yield StorageBackend("file", "a folder on this machine or on a network file system", folder)
    yield StorageBackend("s3", "Amazon S3, or a server that speaks its protocol", objects)
    yield StorageBackend("gs", "Google Cloud Storage", objects)
    yield StorageBackend("az", "Azure Blob Storage", objects)


@hookimpl
def charpipe_metrics() -> Iterable[Metric]:
    """The gradient's norm, and perplexities."""
    yield Metric("train/grad_norm", "L2 norm of the gradient before clipping", lambda facts: facts.grad_norm)
    for split, when in WHEN.items():
        yield Metric(f"{split}/perplexity", f"exp({split}/loss)", partial(_perplexity, split), when)


def _perplexity(split: str, facts: Facts) -> float | None:
    """exp(nats per token): as uncertain as a choice among so many equally likely tokens."""
    loss = facts.metrics.get(f"{split}/loss")
    return None if loss is None or loss > MAX_EXPONENT else math.exp(loss)
