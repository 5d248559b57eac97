"""Load the model of a run from one of its checkpoints."""

from __future__ import annotations

from charpipe.errors import RunError
from charpipe.models.loaded import Bundle, Loaded, open_bundle
from charpipe.plugins.registry import Registry
from charpipe.runs.folder import Run
from charpipe.training.checkpoints import damage


def load_run(run: Run, registry: Registry, which: str = "best") -> Loaded:
    """Load the "best" or "last" checkpoint of a run.

    Raises RunError if its files are not those that were saved, and PluginError.
    """
    return open_run(run, registry, which).load()


def open_run(run: Run, registry: Registry, which: str = "best") -> Bundle:
    """The model in the "best" or "last" checkpoint of a run, not loaded yet; raises as `load_run` does."""
    folder = run.checkpoint(which)
    if wrong := damage(folder):
        other = "last" if which == "best" else "best"
        advice = "to train it again, repeat the command that trained it with --force train"
        if damage(run.checkpoint(other)) is None:
            advice = f"the {other} one is intact: charpipe sample {run.name} --checkpoint {other}"
        raise RunError(f"the {which} checkpoint of {run.name} is damaged: {folder.name}: {wrong}; {advice}")
    return open_bundle(run.name, folder, registry)
