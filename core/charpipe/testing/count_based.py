"""The contract of count-based models (`fit` and `restore`) as rules, each checked on a small model."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from charpipe.errors import CharpipeError
from charpipe.events import Event
from charpipe.models import State, load_model, save_model
from charpipe.models.contract import FittedPredictor
from charpipe.models.fitted import FittedModel, fit, restore
from charpipe.plugin import Architecture, ModelConfig

VOCABULARY, LENGTH, STEPS, BATCH = 11, 400, 9, 3
RELATIVE, ABSOLUTE = 1e-4, 1e-5


@dataclass(frozen=True)
class CountBasedCase:
    """A small count-based model, and its input: ids int64 [T, B]."""

    architecture: Architecture
    config: ModelConfig
    predictor: FittedPredictor
    ids: Tensor

    @property
    def model(self) -> FittedModel:
        return FittedModel(self.predictor, self.architecture.name, self.config, {}, VOCABULARY)


Rule = Callable[[CountBasedCase], str | None]


def state_form(case: CountBasedCase) -> str | None:
    """initial_state(batch_size) is a dict of tensors with the batch in dimension 1."""
    for batch_size in (1, BATCH):
        for name, values in case.predictor.initial_state(batch_size).items():
            if values.ndim < 2 or values.shape[1] != batch_size:
                return f"{name} is {list(values.shape)} for a batch of {batch_size}"
    return None


def shapes(case: CountBasedCase) -> str | None:
    """step(ids [B], state) returns float32 logits [B, V], score(ids [T + 1, B], state) float32 nats [T, B]."""
    before = case.predictor.initial_state(BATCH)
    logits, after = case.predictor.step(case.ids[0], before)
    nats, read = case.predictor.score(case.ids, before)
    if tuple(logits.shape) != (BATCH, VOCABULARY) or logits.dtype != torch.float32:
        return f"logits are {logits.dtype} {list(logits.shape)} instead of float32 {[BATCH, VOCABULARY]}"
    if tuple(nats.shape) != (STEPS - 1, BATCH) or nats.dtype != torch.float32:
        return f"nats are {nats.dtype} {list(nats.shape)} instead of float32 {[STEPS - 1, BATCH]}"
    if not _form(before) == _form(after) == _form(read):
        return f"the state changes its shape from {_form(before)} to {_form(after)} and {_form(read)}"
    return None


def sums_to_one(case: CountBasedCase) -> str | None:
    """The logits define a distribution: none is NaN, and not all are minus infinity."""
    for logits, _ in _steps(case, case.ids):
        if bool(logits.isnan().any()) or bool((logits == -torch.inf).all(-1).any()):
            return "logits are NaN, or all minus infinity"
    return None


def score_equals_steps(case: CountBasedCase) -> str | None:
    """score agrees with the logits of each step, and both return the same state."""
    nats, read = case.predictor.score(case.ids, case.predictor.initial_state(BATCH))
    state: State = {}
    for number, (logits, after) in enumerate(_steps(case, case.ids[:-1])):
        state = after
        said = -logits.log_softmax(-1).gather(1, case.ids[number + 1][:, None])[:, 0]
        if not _close(nats[number], said):
            return f"character {number + 1} has other nats than the step before it says"
    same = all(torch.equal(read[name], state[name]) for name in state)
    return None if same else "score and steps leave other states"


def streams_independent(case: CountBasedCase) -> str | None:
    """A stream's nats do not depend on the other streams."""
    together, _ = case.predictor.score(case.ids, case.predictor.initial_state(BATCH))
    for stream in range(BATCH):
        alone, _ = case.predictor.score(case.ids[:, stream : stream + 1], case.predictor.initial_state(1))
        if not _close(together[:, stream], alone[:, 0]):
            return f"sequence {stream} of the batch has other nats alone than in the batch"
    return None


def state_carried(case: CountBasedCase) -> str | None:
    """Scoring a text in two parts, with the state carried between them, equals scoring it at once."""
    whole, _ = case.predictor.score(case.ids, case.predictor.initial_state(BATCH))
    first, state = case.predictor.score(case.ids[:5], case.predictor.initial_state(BATCH))
    second, _ = case.predictor.score(case.ids[4:], state)
    return None if _close(whole, torch.cat([first, second])) else "two parts have other nats than the whole"


def arguments_kept(case: CountBasedCase) -> str | None:
    """step and score modify neither the ids nor the state passed to them."""
    state, ids = case.predictor.initial_state(BATCH), case.ids.clone()
    before = {name: values.clone() for name, values in state.items()}
    case.predictor.score(ids, state)
    case.predictor.step(ids[0], state)
    same = torch.equal(ids, case.ids) and all(torch.equal(before[name], state[name]) for name in before)
    return None if same else "their arguments were changed"


def saved_and_loaded(case: CountBasedCase) -> str | None:
    """A saved and loaded model has the same nats."""
    with tempfile.TemporaryDirectory() as folder:
        save_model(case.model, Path(folder))
        loaded = load_model(Path(folder), {case.architecture.name: case.architecture})
        first, _ = case.predictor.score(case.ids, case.predictor.initial_state(BATCH))
        second, _ = loaded.predictor().score(case.ids, loaded.predictor().initial_state(BATCH))
    return None if torch.equal(first, second) else "the loaded model has other nats"


def altered_refused(case: CountBasedCase) -> str | None:
    """restore refuses tensors if one is missing or has another length."""
    tensors = case.predictor.tensors()
    for name, values in tensors.items():
        others = {key: value for key, value in tensors.items() if key != name}
        for what, changed in (("without", others), ("with a longer", {**others, name: _longer(values)})):
            try:
                restore(case.architecture, case.config, VOCABULARY, changed)
            except CharpipeError:
                continue
            return f"restore took tensors {what} {name!r}"
    return None


RULES: tuple[Rule, ...] = (
    state_form,
    shapes,
    sums_to_one,
    score_equals_steps,
    streams_independent,
    state_carried,
    arguments_kept,
    saved_and_loaded,
    altered_refused,
)


def count(architecture: Architecture, settings: dict[str, Any]) -> CountBasedCase:
    """A small model of this architecture, fitted to a text in which each character depends on the one before."""
    config = architecture.config(**settings)
    drawn = np.random.default_rng(1).integers(0, 3, LENGTH)
    tokens = (np.cumsum(drawn) % (VOCABULARY - 1)).astype(np.uint8)
    counting = fit(architecture, config, VOCABULARY, tokens)
    while True:
        try:
            event = next(counting)
        except StopIteration as end:
            predictor: FittedPredictor = end.value
            break
        if not isinstance(event, Event):
            raise CharpipeError(f"fit yields a {type(event).__name__}, not an event")
    ids = torch.from_numpy(tokens[: STEPS * BATCH].astype(np.int64)).view(BATCH, STEPS).T.contiguous()
    return CountBasedCase(architecture, config, predictor, ids)


def _steps(case: CountBasedCase, ids: Tensor) -> Iterator[tuple[Tensor, State]]:
    state = case.predictor.initial_state(BATCH)
    for row in ids:
        logits, state = case.predictor.step(row, state)
        yield logits, state


def _longer(values: Tensor) -> Tensor:
    return torch.cat([values.flatten(), values.flatten(), values.new_zeros(1)])


def _form(state: State) -> dict[str, list[int]]:
    return {name: list(values.shape) for name, values in sorted(state.items())}


def _close(first: Tensor, second: Tensor) -> bool:
    return torch.allclose(first, second, rtol=RELATIVE, atol=ABSOLUTE)
