"""Count-based models: one pass over the training tokens, reported by the same events as a neural model's training."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from charpipe.errors import RunError
from charpipe.evaluation import score
from charpipe.events import Checkpointed, Evaluated, Event, Finished, Sampled, TrainingStarted
from charpipe.generation import SampleConfig, sample_some
from charpipe.models import save_model
from charpipe.models.card import read_json
from charpipe.models.fitted import FittedModel, fit
from charpipe.plugin import Architecture, Decoder, Encoding, Facts, Metric, ModelConfig
from charpipe.store.atomic import write_json
from charpipe.training.checkpoints import damage, publish_checkpoint
from charpipe.training.metrics import Metrics, Weights
from charpipe.training.monitor import MAX_VALIDATION_TOKENS, loss_metrics, short_samples


def train_count_based(
    architecture: Architecture,
    config: ModelConfig,
    tokens: NDArray[Any],
    encoding: Encoding,
    *,
    checkpoints: Path,
    vocabulary: Mapping[str, Any],
    plugin: Mapping[str, str],
    validation: NDArray[Any] | None = None,
    resume: Path | None = None,
    run: str = "run",
    stop: Callable[[], bool] = lambda: False,
    sampling: SampleConfig | None = None,
    decoders: Mapping[str, Decoder] | None = None,
    metrics: Mapping[str, Metric] | None = None,
    tokens_per_character: float | None = None,
) -> Iterator[Event]:
    """Fit `architecture` to `tokens` (one dimension, unsigned integers) and yield events.

    The fit is step 1 of 1: one that is stopped starts over, and `resume`, the checkpoint of a finished one, leaves
    nothing to do. Raises UsageError, RunError, PluginError.
    """
    started = time.perf_counter()
    if resume is not None:
        yield Finished(1, "steps", 0.0, _metrics(resume))
        return
    title = f"{architecture.name} {config.title}".strip()
    yield TrainingStarted(run, 0, 1, "cpu", "float32", None, title, engine="counted")
    fitted = yield from _until(stop, fit(architecture, config, encoding.size, tokens))
    if fitted is None:
        yield Finished(0, "interrupted", time.perf_counter() - started)
        return
    seconds = time.perf_counter() - started
    found = {"perf/chars_per_second": len(tokens) / max(seconds, 1e-9)}
    if validation is not None and len(validation) > 1:
        loss = score(fitted, validation, limit=MAX_VALIDATION_TOKENS).nats
        found |= loss_metrics(loss, tokens_per_character) if math.isfinite(loss) else {}
    weights = Weights(fitted.tensors)
    facts = Facts(step=1, tokens=len(tokens), seconds=seconds, metrics=found, weights=weights)
    computed = Metrics(metrics)
    found = computed.compute("evaluation", facts)
    yield Evaluated(1, found)
    yield from computed.warnings()
    settings = short_samples(sampling or SampleConfig())
    text = sample_some(fitted, encoding, settings, decoders).removeprefix(settings.prompt)
    yield Sampled(1, text, settings.prompt)
    model = FittedModel(fitted, architecture.name, config, vocabulary, encoding.size, plugin)
    yield _save(model, checkpoints, {"seconds": seconds, "tokens": len(tokens), "metrics": found})
    yield Finished(1, "steps", time.perf_counter() - started, found, model.parameters)


def _until(stop: Callable[[], bool], fitting: Generator[Event, None, Any]) -> Generator[Event, None, Any]:
    """Yield what `fitting` yields and return what it returns; None where `stop()` became true."""
    while not stop():
        try:
            yield next(fitting)
        except StopIteration as end:
            return end.value
    fitting.close()
    return None


def _save(model: FittedModel, folder: Path, facts: Mapping[str, Any]) -> Checkpointed:
    loss = facts["metrics"].get("val/loss")
    state = {"step": 1, "steps": 1, "best": None if loss is None else {"step": 1, "loss": loss}, **facts}

    def write(temporary: Path) -> None:
        save_model(model, temporary)
        write_json(temporary / "state.json", state)

    return Checkpointed(1, str(publish_checkpoint(folder, 1, write)), best=True)


def _metrics(checkpoint: Path) -> dict[str, float]:
    if wrong := damage(checkpoint):
        raise RunError(
            f"checkpoint {checkpoint} is damaged: {wrong}; give the same command with --force train"
        )
    metrics = read_json(checkpoint / "state.json").get("metrics")
    if not isinstance(metrics, dict):
        raise RunError(f"checkpoint {checkpoint} has no usable 'metrics' in state.json")
    return metrics
