"""The shell around a plugin's recurrence, the predictor that scoring and sampling use, and models on disk.

What needs torch is imported when it is first used: a model on a CPU writes without it (`array_model`).
"""

from typing import TYPE_CHECKING

from charpipe.lazy import names

if TYPE_CHECKING:
    from charpipe.models.bundle import load_model, save_model
    from charpipe.models.contract import Predictor, Recurrence, State
    from charpipe.models.embedding import embedding_width
    from charpipe.models.initialisation import initialise
    from charpipe.models.model import Model, build_model
    from charpipe.models.predictor import NetworkPredictor
    from charpipe.models.recurrence import TorchRecurrence
    from charpipe.models.shell import LanguageModel
    from charpipe.models.streams.arrays import ArrayStream
    from charpipe.models.streams.interface import Stream
    from charpipe.models.streams.selection import open_stream, standard_modules
    from charpipe.models.streams.stepwise import StepwiseStream

__getattr__ = names(
    __name__,
    {
        "ArrayStream": "streams.arrays",
        "LanguageModel": "shell",
        "Model": "model",
        "NetworkPredictor": "predictor",
        "Predictor": "contract",
        "Recurrence": "contract",
        "State": "contract",
        "StepwiseStream": "streams.stepwise",
        "Stream": "streams.interface",
        "TorchRecurrence": "recurrence",
        "build_model": "model",
        "embedding_width": "embedding",
        "initialise": "initialisation",
        "load_model": "bundle",
        "open_stream": "streams.selection",
        "save_model": "bundle",
        "standard_modules": "streams.selection",
    },
)

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
