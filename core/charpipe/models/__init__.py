"""The shell around a plugin's recurrence, the predictor that scoring and sampling use, and models on disk."""

from charpipe.models.bundle import load_model, save_model
from charpipe.models.contract import Predictor, Recurrence, State
from charpipe.models.initialisation import initialise
from charpipe.models.model import Model, build_model
from charpipe.models.predictor import NetworkPredictor
from charpipe.models.recurrence import TorchRecurrence
from charpipe.models.shell import LanguageModel, embedding_width
from charpipe.models.streams.arrays import ArrayStream
from charpipe.models.streams.interface import Stream
from charpipe.models.streams.selection import open_stream, standard_modules
from charpipe.models.streams.stepwise import StepwiseStream

__all__ = [
    "ArrayStream",
    "LanguageModel",
    "Model",
    "NetworkPredictor",
    "Predictor",
    "Recurrence",
    "State",
    "StepwiseStream",
    "Stream",
    "TorchRecurrence",
    "build_model",
    "embedding_width",
    "initialise",
    "load_model",
    "open_stream",
    "save_model",
    "standard_modules",
]
