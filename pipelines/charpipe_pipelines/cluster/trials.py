"""Calls of a stage as Prefect tasks on the nodes of a Ray cluster, by prefect-ray.

Retries are Ray's alone: when a node is lost, Ray runs the task on another, where the trial goes on from its last
checkpoint. Prefect does not retry these tasks, and an error of a training is no reason for either to try again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from prefect import Task, task
from prefect.cache_policies import NO_CACHE

from charpipe.events import Listener, TrainingStarted, event_from_json
from charpipe.stages import Context, Stage
from charpipe.stages.executors import Arguments
from charpipe.stages.processes import Outcome, concluded, named
from charpipe.stages.remote import fetch_run
from charpipe_pipelines.cluster.connection import connect
from charpipe_pipelines.cluster.exchange import Exchange, open_exchange
from charpipe_pipelines.cluster.node import carry_out
from charpipe_pipelines.cluster.nodes import living_nodes, room
from charpipe_pipelines.progress import FlowProgress

RETRIES = 3
"""How often Ray runs a trial again whose node was lost."""
POLL_SECONDS = 0.5
SAVING_SECONDS = 120.0
"""How long a stopped trial may take to save before it is given up."""


class RayLaunch:
    """Makes calls on the nodes of the cluster, in the flow run of this thread."""

    def __init__(self, runner: Any, exchange: Exchange, progress: FlowProgress) -> None:
        self._runner, self._exchange, self._progress = runner, exchange, progress

    def __call__(self, stage: Stage[..., Any], context: Context, arguments: Arguments) -> Any:
        from prefect_ray.context import remote_options  # type: ignore[import-untyped]

        name, cluster = stage.label(*arguments), context.config.cluster
        context.check_stop(name)
        assert stage.remote is not None, f"the stage {stage.name} cannot be run on another machine"
        request = stage.remote.request(context, *arguments) | {"threads": cluster.cpus_per_training}
        needs = {"num_cpus": cluster.cpus_per_training, "num_gpus": cluster.gpus_per_training}
        parameters = {
            "module": stage.remote.module,
            "request": request,
            "name": name,
            "mailbox": self._exchange.mailbox,
        }
        with remote_options(**needs, max_retries=RETRIES, scheduling_strategy="SPREAD"):
            future = self._runner.submit(remote_task(stage.name, stage.summary), parameters)
        self._progress.enter_task(name, UUID(str(future.task_run_id)))
        outcome = self._follow(future, name, context, named(name, context.emit))
        run = outcome.run or str((outcome.result or {}).get("run", ""))
        if run:
            fetch_run(context, run)
        return concluded(stage, context, arguments, outcome)

    def _follow(self, future: Any, name: str, context: Context, emit: Listener) -> Outcome:
        """Pass on a trial's events until it has ended; returns how it ended."""
        import ray

        asked, run = 0.0, ""
        while True:
            done, _ = ray.wait([future.wrapped_future], timeout=POLL_SECONDS)
            events, ended = self._exchange.take(name)
            for value in events:
                event = event_from_json(value)
                if isinstance(event, TrainingStarted):
                    run = event.run
                if event is not None:
                    emit(event)
            if ended is not None and done:
                return Outcome(**ended)
            if done:
                return Outcome(reason=_reason(future), run=run)
            if context.stop.event.is_set():
                asked = asked or time.monotonic()
                begun = self._exchange.stop(name)
                if not begun or time.monotonic() - asked > SAVING_SECONDS:
                    return Outcome(
                        run=run
                    )  # not cancelled: see `RayMap`. If it begins yet, the mailbox stops it


@contextmanager
def ray_launch(context: Context, at_once: int, progress: FlowProgress) -> Iterator[tuple[RayLaunch, int]]:
    """A launch on the cluster of the settings, and how many calls to make at a time: as many as asked for, or, with 0,
    as many as there is room for. Raises CharpipeError if the cluster cannot be used, ClusterLostError if it is lost."""
    connect(context.config.cluster)
    from prefect_ray import RayTaskRunner  # type: ignore[import-untyped]

    with open_exchange() as exchange, RayTaskRunner(context.config.cluster.ray) as runner:
        count = at_once or max(1, room(living_nodes(), context.config.cluster))
        yield RayLaunch(runner, exchange, progress), count


def remote_task(name: str, summary: str) -> Task[..., Any]:
    """The Prefect task that makes a call of a stage on a node."""

    def on_node(module: str, request: Mapping[str, Any], name: str, mailbox: Any) -> Any:
        return carry_out(module, request, name, mailbox)

    return task(
        name=name,
        description=summary,
        task_run_name="{name}",
        retries=0,
        cache_policy=NO_CACHE,
        persist_result=False,
    )(on_node)


def _reason(future: Any) -> str:
    """Why a task ended without an outcome, in a sentence."""
    import ray

    try:
        state = ray.get(future.wrapped_future)
    except ray.exceptions.RayError as error:
        lost = " ".join(str(error).split())[:200]
        return f"its node was lost, and Ray did not bring it to an end in {RETRIES + 1} tries: {lost}"
    return " ".join(str(getattr(state, "message", state)).split())[:300]
