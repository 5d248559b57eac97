"""Opens a model to write with: without PyTorch where that is possible."""

from __future__ import annotations

from charpipe.config.settings.sampling import SampleConfig
from charpipe.models.array_model import ArrayModel
from charpipe.models.contract import Predictor
from charpipe.models.devices import is_certainly_cpu
from charpipe.models.loaded import Bundle

MAX_PROMPT = 1000
"""Tokens of a prompt that numpy reads one by one in less time than importing torch takes."""


def open_writer(bundle: Bundle, settings: SampleConfig, device: str = "auto") -> Predictor | ArrayModel:
    """What `generate` needs of a model: arrays for one text from a cell on a CPU, else a predictor on the device."""
    short = len(bundle.encoding.encode(settings.prompt)) <= MAX_PROMPT
    if short and settings.engine != "plain" and is_certainly_cpu(device):
        arrays = bundle.arrays()
        if arrays is not None:
            return arrays
    return bundle.load().predictor(device)
