"""The shell around a plugin's recurrence, the predictor that scoring and sampling see, and models on disk."""

from charpipe.models.bundle import load_model, save_model
from charpipe.models.contract import Predictor, Recurrence, State
from charpipe.models.model import Model, build_model
from charpipe.models.predictor import NetworkPredictor
from charpipe.models.recurrence import TorchRecurrence, initialise
from charpipe.models.shell import LanguageModel, embedding_width

__all__ = [
    "LanguageModel",
    "Model",
    "NetworkPredictor",
    "Predictor",
    "Recurrence",
    "State",
    "TorchRecurrence",
    "build_model",
    "embedding_width",
    "initialise",
    "load_model",
    "save_model",
]
