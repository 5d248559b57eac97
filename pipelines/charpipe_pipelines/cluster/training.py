"""One training by several workers on a Ray cluster, through Ray Train.

Ray Train starts the workers, connects them, and starts all of them again when one is lost. It is told nothing of
checkpoints: rank 0 runs the stage `train` on its node, which finds the run's newest whole checkpoint by itself.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

from charpipe.errors import InterruptedRun, TrainingError
from charpipe.events import Event, event_from_json
from charpipe.kernels.openmp import OWN, SPINS
from charpipe.stages import Context, Stage, StageOutput, TrainedRun, TrainRequest, WouldRun
from charpipe.stages.context import ignore
from charpipe.stages.executors import Arguments
from charpipe.stages.remote import describe
from charpipe.training.torchrun import INTERFACE
from charpipe_pipelines.cluster.connection import connect, head
from charpipe_pipelines.cluster.exchange import Exchange, open_exchange
from charpipe_pipelines.cluster.loss import answers, cluster_lost
from charpipe_pipelines.cluster.nodes import LOOPBACK, living_nodes
from charpipe_pipelines.cluster.training_worker import NAME, work

RETRIES = 3
"""How often Ray Train starts the workers again after one was lost."""
POLL_SECONDS = 0.5
SAVING_SECONDS = 120.0
"""How long stopped workers may take to save before they are given up."""
CONNECT_SECONDS = 30
RESIZE_SECONDS = 600.0
"""Time between two looks at whether more workers fit. They start from the last checkpoint, so not often."""
QUIET = {"RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "15", "RAY_TRAIN_ENABLE_PRINT_PATCH": "0"}


class RayTraining:
    """Makes a call of the stage `train` on up to `workers` workers of the cluster of the settings."""

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def __call__(self, stage: Stage[..., Any], context: Context, arguments: Arguments) -> Any:
        context.check_stop(stage.name)
        known = _finished(stage, context, arguments)
        if known is not None:
            return known
        connect(context.config.cluster)
        outcome = self._train(context, _request(context, *arguments))
        if "stopped" in outcome:
            raise InterruptedRun(outcome["stopped"], context.stop.signal)
        if "reason" in outcome:
            raise TrainingError(outcome["reason"])
        found = stage.carry_out(replace(context, emit=ignore, force=frozenset()), *arguments)
        return replace(found, reused=False)

    def _train(self, context: Context, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Train on the cluster, and pass on the events; returns the outcome."""
        with (
            tempfile.TemporaryDirectory(prefix="charpipe-ray-", ignore_cleanup_errors=True) as folder,
            open_exchange() as exchange,
        ):
            trainer = self._trainer(context, request, exchange.mailbox, folder)
            return _follow(trainer.fit, exchange, context)

    def _trainer(self, context: Context, request: Mapping[str, Any], mailbox: Any, folder: str) -> Any:
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer

        cluster = context.config.cluster
        needs = {"CPU": cluster.cpus_per_training, "GPU": cluster.gpus_per_training}
        return TorchTrainer(
            work,
            train_loop_config={"request": request, "mailbox": mailbox},
            torch_config=TorchConfig(backend="gloo", timeout_s=CONNECT_SECONDS),
            scaling_config=ScalingConfig(
                num_workers=self._workers if self._workers == 1 else (1, self._workers),
                use_gpu=cluster.gpus_per_training > 0,
                resources_per_worker={name: count for name, count in needs.items() if count},
                placement_strategy="SPREAD",
                elastic_resize_monitor_interval_s=RESIZE_SECONDS,
            ),
            run_config=RunConfig(
                name="training",
                storage_path=folder,  # Ray's own records; ours are in the run's folder
                failure_config=FailureConfig(max_failures=RETRIES),
                worker_runtime_env={"env_vars": _variables()},
            ),
        )


def _variables() -> dict[str, str]:
    """Environment variables of the workers: what must be set before they import PyTorch."""
    found = {} if any(name in os.environ for name in OWN) else {"GOMP_SPINCOUNT": SPINS}
    if all(node.address in LOOPBACK for node in living_nodes()):
        found[INTERFACE] = "lo"
    return found


def _request(
    context: Context, request: TrainRequest, tokens: StageOutput, vocabulary: StageOutput
) -> dict[str, Any]:
    """The call of the stage as JSON, with all settings of the context."""
    described = describe(context, request.corpus, request.arch, tokens, vocabulary, {"train"})
    return described | {"request": asdict(request), "threads": context.config.cluster.cpus_per_training}


def _finished(stage: Stage[..., Any], context: Context, arguments: Arguments) -> TrainedRun | None:
    """The run that did this training, if it is finished; it is reported as found. Nothing is reported otherwise."""
    heard: list[Event] = []
    try:
        found: TrainedRun = stage.carry_out(replace(context, dry_run=True, emit=heard.append), *arguments)
    except WouldRun:
        return None
    for event in heard:
        context.emit(event)
    return found


def _follow(fit: Callable[[], Any], exchange: Exchange, context: Context) -> Mapping[str, Any]:
    """Let Ray Train `fit`, and pass on events until it has ended; returns the outcome.

    Raises ClusterLostError when the head of the cluster no longer answers."""
    failed: list[Exception] = []
    thread = threading.Thread(target=_fit, args=(fit, failed), name="ray-train", daemon=True)
    thread.start()
    asked = 0.0
    while True:
        thread.join(POLL_SECONDS)
        ended = not thread.is_alive()
        events, outcome = exchange.take(NAME)
        for value in events:
            event = event_from_json(value)
            if event is not None:
                context.emit(event)
        if ended:
            return outcome or _failure(failed)
        if context.stop.event.is_set():
            asked = asked or time.monotonic()
            begun = exchange.stop(NAME)
            if not begun or time.monotonic() - asked > SAVING_SECONDS:
                return outcome or {"stopped": "stopped before the workers saved; type the same command again"}


def _fit(fit: Callable[[], Any], failed: list[Exception]) -> None:
    try:
        fit()
    except Exception as error:
        failed.append(error)


def _failure(failed: list[Exception]) -> Mapping[str, Any]:
    """Why Ray Train ended without an outcome. Raises ClusterLostError if that is because the head is lost."""
    if not failed:
        return {"reason": "the workers ended without a result"}
    if not answers(head()):
        raise cluster_lost(failed[0]) from failed[0]
    text = " ".join(str(failed[0]).split())[-300:]
    lost = f"the workers on the Ray cluster were lost {RETRIES + 1} times, or could not start ({text})"
    return {
        "reason": f"{lost}; the last checkpoint is kept; to continue from it, type the same command again"
    }
