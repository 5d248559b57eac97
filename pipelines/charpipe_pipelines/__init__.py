"""charpipe's pipelines, their Prefect flows, and their commands. All code that uses Prefect is here;
importing this package does not import Prefect."""

from __future__ import annotations

from collections.abc import Iterable

from charpipe.lazy import EarlierModules
from charpipe.plugin import Check, Command, Pipeline, Runner, hookimpl
from charpipe_pipelines.options import (
    CompareOptions,
    RetrainOptions,
    SpeedrunOptions,
    SweepOptions,
    TrainAndSampleOptions,
)

EarlierModules({"charpipe_pipelines.reproduce_2015": "charpipe_pipelines.flows"}).install()

_TO_SAMPLES = ("ingest", "vocabulary", "encode", "train", "evaluate", "sample")
_DEPLOYMENTS = "charpipe_pipelines.deployments.cli"


@hookimpl
def charpipe_pipelines() -> Iterable[Pipeline]:
    """List the pipelines that `charpipe run` can run."""
    yield Pipeline(
        "train-and-sample",
        "From raw text to samples: ingest, vocabulary, encode, train, evaluate, sample.",
        "charpipe_pipelines.train_and_sample:recipe",
        TrainAndSampleOptions,
        stages=_TO_SAMPLES,
        check="charpipe_pipelines.train_and_sample:check",
        title="charpipe_pipelines.train_and_sample:title",
        show="charpipe_pipelines.training_result:show",
    )
    yield Pipeline(
        "compare-architectures",
        "Train architectures side by side on one corpus, and rank them.",
        "charpipe_pipelines.compare_architectures:recipe",
        CompareOptions,
        stages=_TO_SAMPLES[:3],
        check="charpipe_pipelines.compare_architectures:check",
        title="charpipe_pipelines.compare_architectures:title",
        show="charpipe_pipelines.compare_architectures:show",
    )
    yield Pipeline(
        "sweep",
        "Search the settings of an architecture: many trials, chosen and pruned by Optuna.",
        "charpipe_pipelines.sweep:recipe",
        SweepOptions,
        stages=_TO_SAMPLES[:3],
        check="charpipe_pipelines.sweep:check",
        title="charpipe_pipelines.sweep:title",
        show="charpipe_pipelines.sweep:show",
    )
    yield Pipeline(
        "speedrun",
        "The best validation loss within a budget of time, over presets and architectures.",
        "charpipe_pipelines.speedrun:recipe",
        SpeedrunOptions,
        stages=_TO_SAMPLES[:3],
        check="charpipe_pipelines.speedrun:check",
        title="charpipe_pipelines.speedrun:title",
        show="charpipe_pipelines.speedrun:show",
    )
    yield Pipeline(
        "retrain",
        "Refresh a corpus, train a challenger from its champion, and promote the better one.",
        "charpipe_pipelines.retrain:recipe",
        RetrainOptions,
        stages=_TO_SAMPLES,
        check="charpipe_pipelines.retrain:check",
        title="charpipe_pipelines.retrain:title",
        show="charpipe_pipelines.retrain:show",
    )


@hookimpl
def charpipe_runners() -> Iterable[Runner]:
    """Run recipes as Prefect flows."""
    yield Runner("prefect", "Each recipe as a Prefect flow.", "charpipe_pipelines.orchestration:run")


@hookimpl
def charpipe_commands() -> Iterable[Command]:
    """The commands for serving, deploying, and the servers' pages."""
    yield Command("serve", "Run the deployments of pipelines.toml on schedule.", f"{_DEPLOYMENTS}:serve")
    yield Command("deploy", "Register the deployments with a Prefect work pool.", f"{_DEPLOYMENTS}:deploy")
    yield Command("deployments", "Scheduled runs: list, run, pause, resume.", f"{_DEPLOYMENTS}:app")
    yield Command("ui", "Open MLflow's and Prefect's pages.", "charpipe_pipelines.cli:ui")
    yield Command("down", "Stop the workspace's servers.", "charpipe_pipelines.cli:down")


@hookimpl
def charpipe_checks() -> Iterable[Check]:
    """The parts of `charpipe doctor` that concern Prefect's server and a Ray cluster."""
    yield Check("prefect", "the Prefect server", "charpipe_pipelines.diagnostics:prefect")
    yield Check("ray", "the Ray cluster", "charpipe_pipelines.ray_diagnostics:ray_cluster")
