"""The settings in which a run cannot be resumed as it was started."""

from __future__ import annotations

from charpipe.config import Config
from charpipe.config.settings.training import FREE
from charpipe.errors import UsageError
from charpipe.runs.folder import RunInfo
from charpipe.store.actions import flatten


def check_settings(info: RunInfo, config: Config) -> None:
    """Raise UsageError if settings that make the model are no longer those that the run was started with."""
    if not info.is_trained_by_steps:
        return
    arch = info.architecture
    before = dict(flatten(info.architecture_config, f"architectures.{arch}.")) | info.settings
    now = {
        "train": config.train.model_dump(mode="json", exclude=set(FREE)),
        "architectures": {arch: config.architectures.get(arch, {})},
    }
    changed = [
        (name, f"{name} {before[name]} -> {value}")
        for name, value in flatten(now)
        if name in before and before[name] != value
    ]
    if changed:
        names, changes = zip(*changed, strict=True)
        raise UsageError(
            f"{info.name} is resumed with the settings that it was started with, and cannot change "
            f"{', '.join(changes)}; leave {' and '.join(names)} out"
        )
