"""Selects how a model is read token by token."""

from __future__ import annotations

import torch
from torch import nn

from charpipe.errors import UsageError
from charpipe.kernels.jit.numba_functions import can_compile
from charpipe.kernels.modules import NetworkModules
from charpipe.models.contract import Predictor, State
from charpipe.models.precision import choose_precision
from charpipe.models.predictor import NetworkPredictor
from charpipe.models.standard import is_standard, modules_of, trace_of_network
from charpipe.models.streams.arrays import MAX_TABLE, ArrayStream
from charpipe.models.streams.cuda_graphs import GraphStream
from charpipe.models.streams.interface import Batch, Engine, Stream
from charpipe.models.streams.stepwise import StepwiseBatch, StepwiseStream

MIN_SHARD = 8
"""Streams for which a core of their own is worth it."""


def open_stream(
    predictor: Predictor, state: State, engine: Engine = "arrays", *, graphs: bool = False
) -> Stream:
    """A stream that continues from `state` (batch size 1), by this engine, or stepwise if the engine does not support
    the model. `graphs` captures the step on CUDA."""
    modules = standard_modules(predictor) if engine != "plain" else None
    if modules is not None and engine == "compiled":
        from charpipe.kernels.step.stream import CompiledStream  # imports numba

        return CompiledStream(modules, state)
    if modules is not None:
        return ArrayStream(modules, state)
    if graphs and isinstance(predictor, NetworkPredictor) and predictor.device.type == "cuda":
        return GraphStream(predictor, state)
    return StepwiseStream(predictor, state)


def open_batches(predictor: Predictor, state: State, precision: str = "float32") -> list[Batch]:
    """Batches that continue from `state`, its streams in order: one batch, or in int8 one per core, each stepped by
    its own thread. Raises UsageError if the precision is not available."""
    modules = _int8_modules(predictor) if precision in ("int8", "auto") else None
    if modules is not None:
        from charpipe.kernels.step.int8 import Int8Batch  # imports numba

        return [Int8Batch(modules, shard) for shard in _sharded(state)]
    if precision == "int8":
        raise UsageError(
            f"int8 is not possible: {_int8_obstacle(predictor)}; say --precision float32, bfloat16 or auto"
        )
    return [StepwiseBatch(in_precision(predictor, precision), state)]


def in_precision(predictor: Predictor, precision: str) -> Predictor:
    """The predictor in another precision on the same device; count-based models have none, and are unchanged."""
    if precision == "float32" or not isinstance(predictor, NetworkPredictor):
        return predictor
    chosen = choose_precision(precision, predictor.device)
    return NetworkPredictor(predictor.network, predictor.vocabulary_size, chosen)


def standard_modules(predictor: Predictor) -> NetworkModules | None:
    """The modules of a predictor whose steps numpy and the kernels support: float32 on a CPU, charpipe's shell around
    layers with known equations. None for any other."""
    if not isinstance(predictor, NetworkPredictor) or not is_standard(predictor.network):
        return None
    modules = modules_of(predictor.network)  # type: ignore[arg-type]
    layer = modules.layer
    known = (
        not _has_hooks(predictor.network)
        and predictor.precision == "float32"
        and all(p.device.type == "cpu" and p.dtype == torch.float32 for p in predictor.network.parameters())
        and modules.vocabulary_size * layer.get_parameter("weight_ih_l0").shape[0] <= MAX_TABLE
    )
    return modules if known else None


def _has_hooks(network: nn.Module) -> bool:
    """Whether a module has forward hooks, which these engines would not call."""
    return any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def _int8_modules(predictor: Predictor) -> NetworkModules | None:
    return None if _int8_obstacle(predictor) else standard_modules(predictor)


def _int8_obstacle(predictor: Predictor) -> str | None:
    """Why a predictor cannot be stepped in int8, or None if it can."""
    if not isinstance(predictor, NetworkPredictor):
        return "it needs a recurrent network"
    form = trace_of_network(predictor.network)
    if isinstance(form, str):
        return form
    modules = standard_modules(predictor)
    if modules is None:
        return "it needs a float32 network on a CPU without hooks, and a small enough vocabulary"
    if not can_compile():
        return "it needs numba (pip install numba)"
    from charpipe.kernels.step.int8 import obstacle  # imports numba

    return obstacle(modules)


def _sharded(state: State) -> list[State]:
    """The state's streams in shards, one per core, as long as each gets a few."""
    count = next(iter(state.values())).shape[1]
    shards = max(1, min(torch.get_num_threads(), count // MIN_SHARD))
    pieces = {name: value.chunk(shards, 1) for name, value in state.items()}
    return [
        {name: found[n] for name, found in pieces.items()} for n in range(len(pieces[next(iter(pieces))]))
    ]
