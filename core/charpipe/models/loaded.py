"""A trained model with its vocabulary, in the folder it was saved in, and loaded from there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from charpipe.models.array_model import ArrayModel, read_array_model
from charpipe.models.card import read_card
from charpipe.plugin import Architecture, Encoding, end_token
from charpipe.plugins.registry import Registry
from charpipe.text import load_vocabulary

if TYPE_CHECKING:
    from charpipe.models import Model, Predictor
    from charpipe.models.fitted import FittedModel


@dataclass(frozen=True)
class Loaded:
    """A trained model and its vocabulary; `name` is the name of its run."""

    name: str
    model: Model | FittedModel
    encoding: Encoding

    def predictor(self, device: str = "auto") -> Predictor:
        """The predictor for scoring and sampling, in float32 on `device`."""
        from charpipe.models.fitted import FittedModel
        from charpipe.models.precision import choose_device

        if not isinstance(self.model, FittedModel):
            self.model.network.eval()
        return self.model.predictor(choose_device(device))


@dataclass(frozen=True)
class Bundle:
    """A trained model in the folder it was saved in; `name` is the name of its run. Opening it imports no torch."""

    name: str
    folder: Path
    architecture: Architecture
    encoding: Encoding

    def load(self) -> Loaded:
        """The model. Its files are checked against its architecture before use."""
        from charpipe.models.bundle import load_model

        model = load_model(self.folder, {self.architecture.name: self.architecture})
        return Loaded(self.name, model, self.encoding)

    def arrays(self) -> ArrayModel | None:
        """The model as arrays, which need no torch; None where it must be loaded."""
        return read_array_model(self.folder, self.architecture, end_token(self.encoding))


def open_bundle(name: str, folder: Path, registry: Registry) -> Bundle:
    """The model in a bundle's folder, whose architecture and vocabulary are known here."""
    architecture = registry.architecture(read_card(folder)["architecture"])
    encoding = load_vocabulary(folder / "vocabulary.json", registry.all("tokenizer"))
    return Bundle(name, folder, architecture, encoding)


def load_bundle(name: str, folder: Path, registry: Registry) -> Loaded:
    """The model in a bundle's folder. Its files are checked against its architecture before use."""
    return open_bundle(name, folder, registry).load()
