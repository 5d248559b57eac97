"""How fast a training reads a corpus on this machine, measured by a few updates of the default network."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.random import default_rng

from charpipe.config.settings.training import TrainConfig, parse_budget
from charpipe.errors import CharpipeError, one_line
from charpipe.models import build_model
from charpipe.stages.architectures import architecture
from charpipe.stages.context import Context
from charpipe.stages.objects import StageOutput
from charpipe.training.speed import measure_speeds

PIPELINE = "train-and-sample"
SECONDS = 2.0
"""Time for measuring, without loading and compiling."""
SAMPLE_TOKENS = 200_000
"""Random tokens to measure with: as many as the corpus has, up to this number."""


@dataclass(frozen=True)
class Estimate:
    """The speed of training by the settings of the project, measured: characters a second, the seconds of one pass over
    the training split, the seconds that a training takes, and the passes that it makes. `reason` is why nothing was
    measured, else None."""

    model: str = ""
    characters_per_second: float = 0.0
    pass_seconds: float = 0.0
    training_seconds: float = 0.0
    passes: float = 0.0
    updates: int = 0
    reason: str | None = None


def estimate_training(context: Context, trained: int, vocabulary: StageOutput) -> Estimate:
    """How long a training on a split of `trained` characters takes: a copy of the network that `charpipe run
    train-and-sample` trains is trained for two seconds. Never raises a CharpipeError: then the estimate has the
    reason."""
    try:
        return _measure(context, trained, vocabulary)
    except CharpipeError as error:
        return Estimate(reason=one_line(error))


def _measure(context: Context, trained: int, vocabulary: StageOutput) -> Estimate:
    settings = context.config.train
    name = context.registry.pipeline(PIPELINE).options.model_fields["arch"].default
    provided, config = architecture(context, name)
    if trained < 2:
        return Estimate(reason="the training split holds less than two characters")
    size = int(vocabulary.facts["size"])
    tokens = default_rng(1).integers(0, size, min(trained, SAMPLE_TOKENS))
    model = build_model(provided.spec, config, {}, size, seed=1)
    speed = measure_speeds([model], tokens, settings, SECONDS)[0]
    pass_seconds = trained / speed.tokens_per_second
    seconds = _training_seconds(settings, speed.tokens_per_second)
    return Estimate(
        model.title,
        speed.tokens_per_second,
        pass_seconds,
        seconds,
        seconds / pass_seconds,
        speed.updates,
    )


def _training_seconds(settings: TrainConfig, tokens_per_second: float) -> float:
    """How long a training by these settings takes."""
    if settings.steps is None:
        return parse_budget(settings.budget)
    return settings.steps * settings.batch_size * settings.window / tokens_per_second
