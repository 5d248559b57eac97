"""The state of a training as bytes (safetensors), to send it from worker to worker.

network/NAME    the weights that training continues from
memory/NAME     the optimizer's state
carried/NAME    the recurrent state, of all streams or of a worker's own
digest          of the weights, to compare workers
"""

from __future__ import annotations

import hashlib

import torch
from safetensors.torch import load, save
from torch import Tensor

from charpipe.models import State as RecurrentState
from charpipe.models.bundle import tensors
from charpipe.training.optimizers import load_optimizer_state, optimizer_state
from charpipe.training.setup import Setup
from charpipe.training.state import State


def whole_state(state: State) -> bytes:
    """All that another worker needs to continue this training."""
    found = {f"network/{name}": values for name, values in tensors(state.network).items()}
    found |= {f"memory/{name}": t for name, t in optimizer_state(state.optimizer, state.network).items()}
    found |= {f"carried/{name}": values for name, values in state.recurrent.items()}
    return save({name: _on_host(values) for name, values in found.items()})


def load_state(data: bytes, state: State, device: torch.device) -> None:
    """Load what `whole_state` returned into a new state."""
    found = load(data)
    state.network.load_state_dict(_with_prefix("network/", found), strict=False)  # shared tensors come once
    memory = _with_prefix("memory/", found)
    if memory:
        load_optimizer_state(state.optimizer, state.network, memory)
    carried = _with_prefix("carried/", found)
    state.recurrent = {name: values.to(device) for name, values in carried.items()}


def own_state(setup: Setup, state: State) -> bytes:
    """The recurrent state of this worker's streams, and a digest of its weights."""
    group, streams = setup.group, setup.batches.batch_size
    first, end = (number * streams // group.size for number in (group.rank, group.rank + 1))
    found = {f"carried/{name}": _on_host(values[:, first:end]) for name, values in state.recurrent.items()}
    return save({**found, "digest": _digest(state)})


def merge_states(parts: list[bytes], device: torch.device) -> tuple[RecurrentState, list[int]]:
    """The recurrent state of all streams from the workers' `own_state`, and the workers whose weights are not those of
    worker 0."""
    found = [load(part) for part in parts]
    digests = [each.pop("digest") for each in found]
    names = [name.removeprefix("carried/") for name in found[0]]
    whole = {name: torch.cat([each[f"carried/{name}"] for each in found], 1).to(device) for name in names}
    return whole, [rank for rank, digest in enumerate(digests) if not torch.equal(digest, digests[0])]


def _digest(state: State) -> Tensor:
    digest = hashlib.sha256()
    for values in tensors(state.network).values():
        digest.update(_on_host(values).view(-1).view(torch.uint8).numpy().tobytes())
    return torch.frombuffer(bytearray(digest.digest()), dtype=torch.uint8)


def _on_host(values: Tensor) -> Tensor:
    return values.detach().cpu().contiguous().clone()


def _with_prefix(prefix: str, found: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): values for name, values in found.items() if name.startswith(prefix)}
