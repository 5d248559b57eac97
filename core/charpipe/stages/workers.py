"""The other workers of a pipeline that several processes carry out: they run no stage, and join its trainings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from charpipe.errors import PluginError
from charpipe.models import Model, build_model
from charpipe.plugins.registry import Registry
from charpipe.stages.stop import Stop
from charpipe.training.follower import Job, follow

if TYPE_CHECKING:
    from charpipe.training.process_group import ProcessGroup


def join_trainings(group: ProcessGroup, registry: Registry, stop: Stop) -> None:
    """Follow rank 0 through all trainings of its pipeline. Raises CharpipeError where a training cannot be joined."""
    try:
        follow(group, lambda job: _model(registry, job), stop.event.is_set)
    finally:
        group.close()


def _model(registry: Registry, job: Job) -> Model:
    """The model of a training, with weights that rank 0's replace. Raises PluginError where the plugin is another."""
    name, plugin = job["architecture"], job["plugin"]
    provided = registry.find("architecture", name)
    here = provided.provider.digest()
    if plugin.get("digest", here) != here:
        raise PluginError(
            f"the plugin of the architecture {name} differs between the workers: {plugin['digest'][:12]} at rank 0, "
            f"{here[:12]} here; nothing was trained; install the same version everywhere"
        )
    config = provided.spec.config.model_validate(job["config"])
    return build_model(provided.spec, config, job["vocabulary"], job["vocabulary_size"], plugin=plugin)
