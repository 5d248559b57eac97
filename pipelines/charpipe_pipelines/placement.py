"""Where the trials or the training of a pipeline run: on this machine, or on a Ray cluster."""

from __future__ import annotations

from dataclasses import replace

from charpipe.comparison.parallel import check_at_once, plan_parallel
from charpipe.errors import UsageError
from charpipe.stages import Context, Parallel, StageOutput, TrainedRun, TrainRequest, train
from charpipe.stages.architectures import architecture
from charpipe.training.group import Group
from charpipe_pipelines.cluster.connection import check_request, connect
from charpipe_pipelines.cluster.corpus_map import on_cluster
from charpipe_pipelines.cluster.nodes import check_nodes
from charpipe_pipelines.options import AtOnce, Runner


def check_place(context: Context, runner: Runner, at_once: AtOnce) -> None:
    """Raise if this machine cannot carry so many trials at once, or the cluster cannot be used."""
    if runner == "local":
        check_at_once(at_once or 1)
        return
    _check_cluster(context)


def _check_cluster(context: Context) -> None:
    check_request(context.config.cluster)
    if not context.dry_run:
        connect(context.config.cluster)
        check_nodes(context)


def place(context: Context, runner: Runner, at_once: AtOnce, trials: int) -> Parallel:
    """How to run so many trials."""
    if runner == "local":
        return plan_parallel(context, at_once or 1, trials)
    return Parallel() if context.dry_run else Parallel(at_once or 0, runner=runner)


def spread(context: Context, runner: Runner) -> Context:
    """The same context, with a large corpus read and encoded where the trainings run."""
    if runner == "local" or context.dry_run:
        return context
    return replace(context, parallel_map=on_cluster(context))


def check_workers(context: Context, arch: str, runner: Runner, workers: int) -> None:
    """Raise if so many workers cannot carry a training out together, or the cluster cannot be used."""
    if runner == "local":
        if workers > 1:
            raise UsageError(
                f"--workers {workers} needs --runner ray; on this machine, type: "
                f"torchrun --nproc-per-node {workers} -m charpipe run ..."
            )
        return
    if context.group.size > 1:
        raise UsageError("Ray starts its workers itself; leave torchrun out, or --runner ray")
    if architecture(context, arch)[0].spec.counted:
        raise UsageError(
            f"{arch} is a count-based model, which one process counts by itself; nothing was done; "
            "leave --runner ray out"
        )
    asked = Group()
    asked.size = workers
    asked.check(context.config.train.shards)
    _check_cluster(context)


def train_by(
    context: Context,
    runner: Runner,
    workers: int,
    request: TrainRequest,
    tokens: StageOutput,
    vocabulary: StageOutput,
) -> TrainedRun:
    """The stage `train`, by this process or by workers on the cluster."""
    if runner == "local" or context.dry_run:
        return train(context, request, tokens, vocabulary)
    from charpipe_pipelines.cluster.training import RayTraining  # imports torch

    launch = Parallel(launch=RayTraining(workers))
    ((_, trained),) = context.executor.map(train, context, [(request, tokens, vocabulary)], launch)
    return trained
