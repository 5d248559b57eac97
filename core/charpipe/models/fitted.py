"""Count-based models: what an architecture's `fit` and `restore` return."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from charpipe.errors import CharpipeError, PluginError, RunError, UsageError
from charpipe.events import Event
from charpipe.models.contract import FittedPredictor
from charpipe.models.precision import Precision
from charpipe.plugin import Architecture, ModelConfig, resolve

MEMBERS = ("initial_state", "step", "score", "tensors", "parameters")


@dataclass
class FittedModel:
    """A count-based model with all that is needed to restore it; like `Model`, but without a network."""

    fitted: FittedPredictor
    architecture: str
    config: ModelConfig
    vocabulary: Mapping[str, Any]
    vocabulary_size: int
    plugin: Mapping[str, str] = field(default_factory=dict)

    @property
    def parameters(self) -> int:
        """The number of counted parameters."""
        return self.fitted.parameters

    @property
    def title(self) -> str:
        """`ngram order 10`."""
        return f"{self.architecture} {self.config.title}".strip()

    def predictor(
        self, device: torch.device | None = None, precision: Precision = "float32"
    ) -> FittedPredictor:
        """The predictor for scoring and sampling; on the CPU, whatever device is requested."""
        return self.fitted


def fit(
    architecture: Architecture, config: ModelConfig, vocabulary_size: int, tokens: NDArray[Any]
) -> Generator[Event, None, FittedPredictor]:
    """Run the architecture's `fit`: yields its events, then returns its predictor.

    Raises PluginError naming the architecture if it fails or returns something else.
    """
    if architecture.fit is None or architecture.restore is None:
        raise PluginError(f"architecture {architecture.name!r} needs both fit and restore to be counted")
    if vocabulary_size < 1:
        raise UsageError("the vocabulary is empty; name a corpus with at least two characters")
    try:
        found = yield from _events(resolve(architecture.fit)(config, vocabulary_size, tokens))
    except (CharpipeError, MemoryError):
        raise
    except Exception as error:
        raise PluginError(f"architecture {architecture.name!r} could not be fitted: {error}") from error
    return _checked(architecture, found)


def _events(counting: Any) -> Generator[Event, None, Any]:
    if not isinstance(counting, Generator):
        raise PluginError("fit must be a generator: it yields events and returns a predictor")
    found = yield from counting
    return found


def restore(
    architecture: Architecture, config: ModelConfig, vocabulary_size: int, tensors: dict[str, Tensor]
) -> FittedPredictor:
    """The predictor saved as `tensors`. Raises RunError if they are not what it saves."""
    if architecture.restore is None:
        raise PluginError(f"architecture {architecture.name!r} has neither a build nor a restore function")
    try:
        found = resolve(architecture.restore)(config, vocabulary_size, tensors)
    except CharpipeError:
        raise
    except Exception as error:
        raise RunError(
            f"the saved tensors do not fit {architecture.name!r}: {error}; nothing was loaded"
        ) from error
    return _checked(architecture, found)


def _checked(architecture: Architecture, found: Any) -> FittedPredictor:
    missing = [name for name in MEMBERS if not hasattr(found, name)]
    if missing:
        raise PluginError(
            f"architecture {architecture.name!r} made a {type(found).__name__}, which has no {missing[0]!r}"
        )
    predictor: FittedPredictor = found
    return predictor
