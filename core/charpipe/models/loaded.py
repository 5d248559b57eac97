"""A trained model with its vocabulary, loaded from the folder it was saved in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from charpipe.models import Model, Predictor, load_model
from charpipe.models.bundle import read_card
from charpipe.models.fitted import FittedModel
from charpipe.models.precision import choose_device
from charpipe.plugin import Encoding
from charpipe.plugins.registry import Registry


@dataclass(frozen=True)
class Loaded:
    """A trained model and its vocabulary; `name` is the name of its run."""

    name: str
    model: Model | FittedModel
    encoding: Encoding

    def predictor(self, device: str = "auto") -> Predictor:
        """The predictor for scoring and sampling, in float32 on `device`."""
        if not isinstance(self.model, FittedModel):
            self.model.network.eval()
        return self.model.predictor(choose_device(device))


def load_bundle(name: str, folder: Path, registry: Registry) -> Loaded:
    """The model in a bundle's folder. Its files are checked against its architecture before use."""
    from charpipe.text import load_vocabulary

    architecture = registry.architecture(read_card(folder)["architecture"])
    model = load_model(folder, {architecture.name: architecture})
    return Loaded(name, model, load_vocabulary(folder / "vocabulary.json", registry.all("tokenizer")))
