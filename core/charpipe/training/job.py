"""What a training run works on, from its first step or from where a checkpoint left it."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from charpipe.errors import RunError
from charpipe.events import Notice
from charpipe.models import Model, State
from charpipe.models.engine import LossAndGrad, choose_engine, is_uncertain, obstacle
from charpipe.models.engine.cuda_graphs import fitting_precision
from charpipe.models.precision import Precision, choose_device, choose_precision
from charpipe.training.averaging import Average
from charpipe.training.checkpoints import Checkpoint, plan_of, read_checkpoint
from charpipe.training.lanes import Lanes, fit_lanes
from charpipe.training.optimisers import build_optimizer, restore_memory
from charpipe.training.plan import Plan
from charpipe.training.recording import Recorded, check_recordable
from charpipe.training.settings import TrainConfig, parse_budget
from charpipe.training.start import Start, begin_from


@dataclass
class Job:
    """The parts of a run, and how far it has come: `step` updates made out of `plan.steps`."""

    model: Model
    settings: TrainConfig
    lanes: Lanes
    device: torch.device
    precision: Precision
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    state: State
    recent: Tensor
    """Sum of the losses since the last evaluation, and their number: float32 [2]."""
    engine: str
    loss_and_grad: LossAndGrad
    """How it finds loss and gradients, by the engine of that name."""
    engine_reason: str | None = None
    """Why this engine; None for a run that goes on with the one that it began with."""
    threads: int = 1
    """Those that work on a CPU, in all."""
    step: int = 0
    plan: Plan = field(default_factory=lambda: Plan.of(0))
    started: int = 0
    """The step at which this process began."""
    seconds: float = 0.0
    """Spent in earlier processes."""
    look: int = 0
    """Validation tokens that are scored at a look, the same ones all through a run; 0: not settled yet."""
    best: Mapping[str, float] | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)
    before: Mapping[str, Any] | None = None
    """The settings with which the checkpoint was saved that this goes on from."""
    average: Average | None = None
    recorded: Recorded | None = None
    """The update as it is replayed, once the engine cuda-graphs has recorded it."""

    @property
    def steps(self) -> int:
        """Updates in all, as planned now."""
        return self.plan.steps

    @property
    def shown(self) -> nn.Module:
        """The network that is scored, sampled and kept: with averaged weights, if they are averaged."""
        return self.average.network if self.average is not None else self.model.network

    def scratch(self) -> Job:
        """A copy to measure with, which leaves this one as it is."""
        model = copy.copy(self.model)
        model.network = copy.deepcopy(self.model.network)
        optimizer = build_optimizer(model.network, self.settings)
        scaler = _scaler(self.device, self.precision)
        return Job(
            model,
            self.settings,
            self.lanes,
            self.device,
            self.precision,
            optimizer,
            scaler,
            dict(self.state),
            self.recent.clone(),
            *choose_engine(
                model.network,
                self.device,
                self.precision,
                self.engine,
                batch_size=self.lanes.batch_size,
                threads=self.threads,
                scaler=scaler,
            ),
            threads=self.threads,
        )


def prepare(
    model: Model,
    tokens: NDArray[Any],
    settings: TrainConfig,
    resume: Path | None,
    start: Start | None = None,
) -> Job:
    """The run's parts on its device; with `resume`, as the checkpoint there left them; with `start`, and nothing to
    resume, with what another run learnt.

    Raises UsageError where there is nothing to train on, RunError where the checkpoint does not fit.
    """
    lanes = fit_lanes(tokens, settings.batch_size, settings.window, settings.seed, model.vocabulary_size)
    checkpoint = read_checkpoint(resume, model, settings, len(tokens)) if resume else None
    memory = begin_from(start, model, settings) if start is not None and checkpoint is None else {}
    lanes = replace(lanes, offset=_offset(start, checkpoint))
    device = choose_device(settings.device)
    network = model.network.to(device).train()
    precision = _precision(settings, device, checkpoint, network, lanes.batch_size)
    scaler = _scaler(device, precision)
    threads = torch.get_num_threads()
    asked = _engine(settings, checkpoint, network, device, precision)
    tried = None
    if asked == "auto" and is_uncertain(network, device, precision):
        asked, tried = _try_engines(network, settings, lanes, precision, threads)
    engine, loss_and_grad = choose_engine(
        network,
        device,
        precision,
        asked,
        batch_size=lanes.batch_size,
        threads=threads,
        scaler=scaler,
    )
    job = Job(
        model=model,
        settings=settings,
        lanes=lanes,
        device=device,
        precision=precision,
        optimizer=build_optimizer(network, settings),
        scaler=scaler,
        state=network.initial_state(lanes.batch_size),  # type: ignore[operator]
        recent=torch.zeros(2, device=device),
        engine=engine,
        loss_and_grad=loss_and_grad,
        engine_reason=tried or _engine_reason(settings, checkpoint, engine, network, device, precision),
        threads=threads,
        average=Average(network, settings.average) if settings.average else None,
    )
    if tried is not None:
        job.notices.append(Notice(f"engine {engine}: {tried}"))
    began = checkpoint.state.get("engine") if checkpoint is not None else None
    if (settings.engine, began, engine) == ("auto", "fast", "plain"):
        job.notices.append(
            Notice(
                "this run was trained by the engine 'fast', which cannot be used here; it goes on with 'plain', "
                "whose losses differ by rounding",
                "warning",
            )
        )
    if engine == "cuda-graphs":
        job.notices.append(check_recordable(job))
    if (lanes.batch_size, lanes.window) != (settings.batch_size, settings.window):
        job.notices.append(Notice(_shrunk(lanes, settings)))
    if memory:
        restore_memory(job.optimizer, network, memory)
    if checkpoint is not None:
        _restore(job, checkpoint)
    return job


def _offset(start: Start | None, checkpoint: Checkpoint | None) -> int:
    if checkpoint is not None:
        return int(checkpoint.state.get("offset", 0))
    return start.offset if start is not None else 0


def reseed(seed: int, step: int, device: torch.device) -> None:
    """Make what is random in a step (dropout) a pure function of (seed, step), whatever happened before."""
    number = int(np.random.SeedSequence((seed, step)).generate_state(1, np.uint64)[0])
    if device.type == "cpu":
        torch.default_generator.manual_seed(
            number
        )  # torch.manual_seed writes down who called it, at every step
    else:
        torch.manual_seed(number)


def _precision(
    settings: TrainConfig,
    device: torch.device,
    checkpoint: Checkpoint | None,
    network: nn.Module,
    lanes: int,
) -> Precision:
    """As chosen when the run began, where this device can."""
    asked = settings.precision
    if asked == "auto" and checkpoint is not None and checkpoint.state["device"] == device.type:
        asked = checkpoint.state["precision"]
    elif (asked, settings.engine, device.type) == (
        "auto",
        "cuda-graphs",
        "cuda",
    ) and settings.optimizer != "rmsprop":
        asked = fitting_precision(network, lanes)
    return choose_precision(asked, device)


def _engine(
    settings: TrainConfig,
    checkpoint: Checkpoint | None,
    network: nn.Module,
    device: torch.device,
    precision: Precision,
) -> str:
    """A run keeps the engine that it began with, where that can be had: another one rounds otherwise."""
    if settings.engine != "auto" or checkpoint is None:
        return settings.engine
    began = checkpoint.state.get("engine", "plain")
    if began == "fast" and obstacle(network, device, precision) is None:
        return "fast"
    return "plain" if began == "plain" else "auto"


def _engine_reason(
    settings: TrainConfig,
    checkpoint: Checkpoint | None,
    engine: str,
    network: nn.Module,
    device: torch.device,
    precision: Precision,
) -> str | None:
    """Why this engine, where no trial said so."""
    if settings.engine != "auto":
        return "asked for"
    if checkpoint is not None and checkpoint.state.get("engine", "plain") == engine:
        return None
    if engine == "fast":
        return "the fast engine can train this model on this processor"
    return f"the fast engine cannot train this: {obstacle(network, device, precision)}"


def _try_engines(
    network: nn.Module, settings: TrainConfig, lanes: Lanes, precision: Precision, threads: int
) -> tuple[str, str]:
    """The engine that a short trial prefers, and why; a training too short for one takes the fast engine."""
    from charpipe.models.engine.trial import SHARE, TRIES, choose_by_trial

    seconds = math.inf if settings.steps is not None else parse_budget(settings.budget) * SHARE / 2
    if settings.steps is not None and settings.steps * SHARE < 2 * (TRIES + 1):
        return "fast", "this training is too short to try both engines"
    state = network.initial_state(lanes.batch_size)  # type: ignore[operator]
    return choose_by_trial(network, precision, threads, (*lanes.read(0), state), seconds)


def _scaler(device: torch.device, precision: Precision) -> torch.amp.GradScaler:
    """Scales the loss so that float16 gradients do not vanish; does nothing in other precisions."""
    return torch.amp.GradScaler(device.type, enabled=precision == "float16")


def _restore(job: Job, checkpoint: Checkpoint) -> None:
    saved = checkpoint.state
    if job.average is not None:
        job.average.restore(checkpoint.weights, checkpoint.trained)
    else:
        job.model.network.load_state_dict(checkpoint.weights, strict=False)
    restore_memory(job.optimizer, job.model.network, checkpoint.memory)
    if form_of(checkpoint.carried) != form_of(job.state):
        raise RunError("the checkpoint carries another state than this model and batch; name an earlier one")
    job.state = {name: values.to(job.device) for name, values in checkpoint.carried.items()}
    job.recent = torch.tensor(saved["recent"], device=job.device)
    job.step, job.seconds, job.plan = saved["step"], saved["seconds"], plan_of(saved)
    job.started, job.before = job.step, {**TrainConfig().model_dump(), **saved["settings"]}
    job.look, job.best, job.metrics = saved["look"], saved["best"], saved["metrics"]
    if job.scaler.is_enabled() and saved["scaler"]:
        job.scaler.load_state_dict(saved["scaler"])


def form_of(state: State) -> dict[str, tuple[torch.Size, torch.dtype]]:
    """What a carried state must be to fit."""
    return {name: (values.shape, values.dtype) for name, values in sorted(state.items())}


def _shrunk(lanes: Lanes, settings: TrainConfig) -> str:
    return (
        f"the training split holds {len(lanes.tokens):,} tokens, too few for batch_size "
        f"{settings.batch_size} and window {settings.window}: training with {lanes.batch_size} and {lanes.window}"
    )
