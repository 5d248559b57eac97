"""Where the trials of a pipeline run: on this machine, or on a Ray cluster."""

from __future__ import annotations

from charpipe.comparison.parallel import check_at_once, plan_parallel
from charpipe.stages import Context, Parallel
from charpipe_pipelines.cluster.connection import check_request, connect
from charpipe_pipelines.cluster.nodes import check_nodes
from charpipe_pipelines.options import AtOnce, Runner


def check_place(context: Context, runner: Runner, at_once: AtOnce) -> None:
    """Raise if this machine cannot carry so many trials at once, or the cluster cannot be used."""
    if runner == "local":
        check_at_once(at_once or 1)
        return
    check_request(context.config.cluster)
    if not context.dry_run:
        connect(context.config.cluster)
        check_nodes(context)


def place(context: Context, runner: Runner, at_once: AtOnce, trials: int) -> Parallel:
    """How to run so many trials."""
    if runner == "local":
        return plan_parallel(context, at_once or 1, trials)
    return Parallel() if context.dry_run else Parallel(at_once or 0, runner=runner)
