"""charpipe's pipelines as Prefect flows, and the commands that belong to them. Prefect lives here and nowhere else;
importing this package imports none of it."""

from __future__ import annotations

from collections.abc import Iterable

from charpipe.plugin import Command, Pipeline, hookimpl
from charpipe_pipelines.options import CompareOptions, ReproduceOptions, RetrainOptions, TrainAndSampleOptions

_TO_SAMPLES = ("ingest", "vocabulary", "encode", "train", "evaluate", "sample")
_DEPLOYMENTS = "charpipe_pipelines.deployments.cli"


@hookimpl
def charpipe_pipelines() -> Iterable[Pipeline]:
    """What `charpipe run` can run."""
    yield Pipeline(
        "train-and-sample",
        "From raw text to samples: ingest, vocabulary, encode, train, evaluate, sample.",
        "charpipe_pipelines.orchestration:train_and_sample",
        TrainAndSampleOptions,
        flow="charpipe_pipelines.train_and_sample.train_and_sample",
        stages=_TO_SAMPLES,
    )
    yield Pipeline(
        "compare-architectures",
        "Train architectures side by side on one corpus, and rank them.",
        "charpipe_pipelines.orchestration:compare_architectures",
        CompareOptions,
        flow="charpipe_pipelines.compare_architectures.compare_architectures",
        stages=_TO_SAMPLES[:3],
    )
    yield Pipeline(
        "retrain",
        "Refresh a corpus, train a challenger from its champion, and promote the better one.",
        "charpipe_pipelines.orchestration:retrain",
        RetrainOptions,
        flow="charpipe_pipelines.retrain.retrain",
        stages=_TO_SAMPLES,
    )
    yield Pipeline(
        "reproduce-2015",
        "The experiments of the blog and the paper of 2015, scaled to a budget, beside what was published.",
        "charpipe_pipelines.orchestration:reproduce_2015",
        ReproduceOptions,
        flow="charpipe_pipelines.reproduce_2015.reproduce_2015",
    )


@hookimpl
def charpipe_commands() -> Iterable[Command]:
    """Serving, deploying, and the servers' pages."""
    yield Command("serve", "Run the deployments of pipelines.toml on schedule.", f"{_DEPLOYMENTS}:serve")
    yield Command("deploy", "Register the deployments with a work pool instead.", f"{_DEPLOYMENTS}:deploy")
    yield Command("deployments", "What runs by itself: list, run, pause, resume.", f"{_DEPLOYMENTS}:app")
    yield Command("ui", "Open MLflow's and Prefect's pages.", "charpipe_pipelines.cli:ui")
    yield Command("down", "Stop the workspace's servers.", "charpipe_pipelines.cli:down")
