"""Display titles of runs: `lstm 1x512`, or in a list `lstm 1x512 · 7f3a`."""

from __future__ import annotations

from charpipe.runs.folder import RunInfo


def model_title(info: RunInfo) -> str:
    """The architecture, with its size if the configuration has `layers` and `hidden_size`, or `order`."""
    config = info.architecture_config
    layers, units = config.get("layers"), config.get("hidden_size")
    if isinstance(layers, int) and isinstance(units, int):
        return f"{info.architecture} {layers}x{units}"
    order = config.get("order")
    return f"{info.architecture} {order}" if isinstance(order, int) else info.architecture


def short_name(name: str) -> str:
    """The last part of a run's name, as pages show it: `7f3a`."""
    return name.rpartition("-")[2][-8:]


def run_title(info: RunInfo) -> str:
    """`lstm 1x512 · 7f3a`: the model title, made unique by the short name."""
    return f"{model_title(info)} · {short_name(info.name)}"


def seeded_title(info: RunInfo) -> str:
    """`lstm 1x512 seed 2 · 7f3a`: for runs that differ only in the seed."""
    return f"{model_title(info)} seed {info.settings.get('train.seed', 1)} · {short_name(info.name)}"
