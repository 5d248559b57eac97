"""Several trials at once: what this machine can carry, and the map over the trials."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from charpipe.comparison.leaderboard import Row
from charpipe.comparison.training import train_trial
from charpipe.comparison.trials import Comparison
from charpipe.errors import InterruptedRun, UsageError
from charpipe.events import Notice
from charpipe.models.engine.other_programs import cores_here
from charpipe.models.precision import choose_device
from charpipe.stages import Context, Parallel, StageOutput
from charpipe.stages.processes import InProcess

PROCESS_BYTES = 450e6
"""Memory of a process that trains a small model: PyTorch, MLflow's client and the kernels."""
UNLIMITED = 1 << 60


def check_at_once(at_once: int) -> None:
    """Raise UsageError if this machine has not the cores or the memory for so many trials at once."""
    if at_once == 1:
        return
    cores = cores_here()
    if at_once > cores:
        raise UsageError(
            f"--at-once {at_once} needs a core for each training, and this machine has {cores}; "
            + (f"type --at-once {cores}" if cores > 1 else "leave it out")
        )
    free = free_memory()
    most = int(free // PROCESS_BYTES)
    if at_once > most:
        raise UsageError(
            f"--at-once {at_once} needs about {_megabytes(PROCESS_BYTES)} of memory for each training and its model, "
            f"and {_megabytes(free)} are free; " + (f"type --at-once {most}" if most > 1 else "leave it out")
        )


def plan_parallel(context: Context, at_once: int, trials: int) -> Parallel:
    """How to run so many trials on this machine, `at_once` at a time; what the user should know is told before the
    first is started."""
    at_once = min(at_once, max(1, trials))
    if at_once == 1:
        return Parallel()
    cores, gpus = cores_here(), _gpus(context)
    threads = max(1, cores // at_once)
    share = f"{at_once} trials at once, each in a process of its own with {threads} of {cores} cores"
    notices, free = [Notice(share)], free_memory()
    if at_once * PROCESS_BYTES > free / 2:
        needed = f"{at_once} trainings need {_megabytes(at_once * PROCESS_BYTES)} and their models"
        notices.append(
            Notice(f"memory may become short: {needed}, and {_megabytes(free)} are free", "warning")
        )
    if 0 < gpus < at_once:
        notices.append(Notice(f"{at_once} trials share {gpus} GPU{'' if gpus == 1 else 's'}", "warning"))
    return Parallel(at_once, InProcess(threads, gpus, notices))


def train_trials(
    context: Context,
    comparison: Comparison,
    corpus: str,
    tokens: StageOutput,
    vocabulary: StageOutput,
    parallel: Parallel,
) -> list[Row]:
    """The rows of all trials, in their order. Raises InterruptedRun, once all that were running are saved."""
    calls = [(trial, corpus, tokens, vocabulary, comparison.name) for trial in comparison.trials]
    rows = {arguments[0]: row for arguments, row in map_trials(context, calls, parallel)}
    return [rows[trial] for trial in comparison.trials]


def map_trials(
    context: Context, calls: Iterable[tuple[Any, ...]], parallel: Parallel
) -> Iterator[tuple[tuple[Any, ...], Row]]:
    """Each call of `train_trial` with its row, in order of completion."""
    try:
        yield from train_trial.map(context, calls, parallel)
    except InterruptedRun as error:
        if parallel.at_once == 1:
            raise
        raise InterruptedRun(
            "stopped; the trials that were running are saved, and the finished ones are kept; "
            "to continue, type the same command again",
            error.exit_code - 128,
        ) from error


def free_memory() -> float:
    """Bytes that a new process can have: of this machine, or of the control group that this process is in."""
    import psutil

    return min(float(psutil.virtual_memory().available), _left_in_group(Path("/sys/fs/cgroup")))


def _left_in_group(folder: Path) -> float:
    with suppress(OSError, ValueError):
        limit = int((folder / "memory.max").read_text())
        return limit - int((folder / "memory.current").read_text())
    return UNLIMITED


def _gpus(context: Context) -> int:
    """How many GPUs the trials are spread over: all of them, unless the settings name one; 0 without a GPU."""
    asked = context.config.train.device
    if choose_device(asked).type != "cuda":
        return 0
    return torch.cuda.device_count() if asked in ("auto", "cuda") else 1


def _megabytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
