"""Trained models by name: from this workspace's runs, or from MLflow given only its tracking URI."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from charpipe.champions.records import named
from charpipe.errors import RunError, UsageError
from charpipe.plugins.registry import Registry
from charpipe.runs import Run, find_run
from charpipe.tracking import TrackingConfig, locate
from charpipe.workspace import Workspace

if TYPE_CHECKING:
    from charpipe.models import Model, Predictor
    from charpipe.models.fitted import FittedModel
    from charpipe.plugin import Encoding


@dataclass(frozen=True)
class Loaded:
    """A trained model and the vocabulary it speaks; `name` is its run's."""

    name: str
    model: Model | FittedModel
    encoding: Encoding

    def predictor(self, device: str = "auto") -> Predictor:
        """What scoring and sampling use, in float32 on the device asked for."""
        from charpipe.models.fitted import FittedModel
        from charpipe.models.precision import choose_device

        if not isinstance(self.model, FittedModel):
            self.model.network.eval()
        return self.model.predictor(choose_device(device))


def load_run(run: Run, registry: Registry, which: str = "best") -> Loaded:
    """The best (or "last") checkpoint of a run. Raises RunError where its files are not those that were saved, and
    PluginError."""
    from charpipe.training.checkpoints import damage

    folder = run.checkpoint(which)
    if wrong := damage(folder):
        other = "last" if which == "best" else "best"
        advice = "to train anew, give the command that trained it once more, with --force train"
        if damage(run.checkpoint(other)) is None:
            advice = f"the {other} one is whole: charpipe sample {run.name} --checkpoint {other}"
        raise RunError(f"the {which} checkpoint of {run.name} is damaged: {folder.name}: {wrong}; {advice}")
    return load_bundle(run.name, folder, registry)


def load_bundle(name: str, folder: Path, registry: Registry) -> Loaded:
    """The model in a bundle's folder; its files are held against its architecture before they are used."""
    from charpipe.models import load_model
    from charpipe.models.bundle import read_card
    from charpipe.text import load_vocabulary

    architecture = registry.architecture(read_card(folder)["architecture"])
    model = load_model(folder, {architecture.name: architecture})
    return Loaded(name, model, load_vocabulary(folder / "vocabulary.json", registry.all("tokenizer")))


def find_model(
    wanted: str, workspace: Workspace, registry: Registry, tracking: TrackingConfig, which: str = "best"
) -> Loaded:
    """The model of the run `wanted` (or of `champion:CORPUS`, `previous:CORPUS`): of this workspace, or else of the
    MLflow that the settings name.

    Raises UsageError with near matches where neither has such a run.
    """
    try:
        if (kept := named(workspace, wanted)) is not None:
            return load_bundle(kept.run, kept.folder, registry)
        return load_run(find_run(workspace.root / "runs", wanted, use="model"), registry, which)
    except (UsageError, RunError) as error:
        location = locate(tracking, workspace.root / "mlflow")
        if location.is_own or not isinstance(error, UsageError):
            raise
        from charpipe.tracking.models import download_model
        from charpipe.tracking.registry import download_champion

        models = workspace.downloads / "models"
        if wanted.startswith(("champion:", "previous:")):
            folder = download_champion(location, wanted, models)
        else:
            folder = download_model(location, wanted, models, which)
        return load_bundle(wanted, folder, registry)
