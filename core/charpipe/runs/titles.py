"""What a person calls a run: `lstm 1x512`, and among others `lstm 1x512 · 7f3a`."""

from __future__ import annotations

from charpipe.runs.folder import RunInfo


def model_title(info: RunInfo) -> str:
    """The architecture with its size, as far as its configuration has one that charpipe knows to read."""
    config = info.architecture_config
    layers, units = config.get("layers"), config.get("hidden_size")
    if isinstance(layers, int) and isinstance(units, int):
        return f"{info.architecture} {layers}x{units}"
    order = config.get("order")
    return f"{info.architecture} {order}" if isinstance(order, int) else info.architecture


def short_name(name: str) -> str:
    """The ending of a run's name, which pages show: `7f3a`."""
    return name.rpartition("-")[2][-8:]


def run_title(info: RunInfo) -> str:
    """`lstm 1x512 · 7f3a`: the name's ending tells apart runs that are otherwise called the same."""
    return f"{model_title(info)} · {short_name(info.name)}"


def seeded_title(info: RunInfo) -> str:
    """`lstm 1x512 seed 2 · 7f3a`: among runs that differ in nothing else."""
    return f"{model_title(info)} seed {info.settings.get('train.seed', 1)} · {short_name(info.name)}"
