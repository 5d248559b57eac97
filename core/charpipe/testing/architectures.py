"""The model contract as rules, each checked on a small model."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from charpipe.errors import PluginError
from charpipe.kernels.jit.numba_functions import can_compile
from charpipe.models import Model, State, build_model, load_model, open_stream, save_model
from charpipe.models.engine import choose_engine, obstacle
from charpipe.models.standard import uncompiled_cell
from charpipe.plugin import Architecture, ModelConfig
from charpipe.testing import count_based as counted
from charpipe.testing.lookup import find_architecture
from charpipe.testing.rules import CheckedRule, check_rules

VOCABULARY, STEPS, BATCH = 11, 9, 3
CPU = torch.device("cpu")
RELATIVE, ABSOLUTE = 1e-4, 1e-5
DROPOUT = ("dropout", "recurrent_dropout")
"""Settings that a small model has at nought, if it has them."""


@dataclass(frozen=True)
class BrokenRule:
    """The rule's name and what happened instead."""

    rule: str
    seen: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.seen}"


@dataclass(frozen=True)
class Case:
    """A small model without dropout, and its input: ids int64 [T, B]."""

    architecture: Architecture
    config: ModelConfig
    model: Model
    ids: Tensor

    @property
    def network(self) -> nn.Module:
        return self.model.network

    def initial(self, batch_size: int = BATCH) -> State:
        state: State = self.network.initial_state(batch_size)  # type: ignore[operator]
        return state


Rule = Callable[[Case], str | None]


def shapes(case: Case) -> str | None:
    """forward(ids [T, B], state) returns floating logits [T, B, V] and a state like the one it was given."""
    before = case.initial()
    logits, after = case.network(case.ids, before)
    if tuple(logits.shape) != (STEPS, BATCH, VOCABULARY):
        return f"logits are {list(logits.shape)} instead of [T, B, V] = {[STEPS, BATCH, VOCABULARY]}"
    if not logits.is_floating_point():
        return f"logits are {logits.dtype}"
    if _form(after) != _form(before):
        return f"the state changes its shape from {_form(before)} to {_form(after)}"
    return None


def state_form(case: Case) -> str | None:
    """initial_state(batch_size) is a dict of float32 tensors with the batch in dimension 1."""
    for batch_size in (1, BATCH):
        for name, values in case.initial(batch_size).items():
            if values.ndim < 2 or values.shape[1] != batch_size or values.dtype != torch.float32:
                return f"{name} is {values.dtype} {list(values.shape)} for a batch of {batch_size}"
    return None


def finite(case: Case) -> str | None:
    """Logits and gradients are finite."""
    case.network.zero_grad()
    logits, _ = case.network(case.ids[:-1], case.initial())
    if not bool(logits.isfinite().all()):
        return "logits are not finite"
    functional.cross_entropy(logits.flatten(0, 1), case.ids[1:].flatten()).backward()  # type: ignore[no-untyped-call]
    for name, values in case.network.named_parameters():
        if values.grad is not None and not bool(values.grad.isfinite().all()):
            return f"the gradient of {name} is not finite"
    return None


def learns(case: Case) -> str | None:
    """The gradient of the loss reaches at least one weight."""
    case.network.zero_grad()
    logits, _ = case.network(case.ids[:-1], case.initial())
    functional.cross_entropy(logits.flatten(0, 1), case.ids[1:].flatten()).backward()  # type: ignore[no-untyped-call]
    reached = any(p.grad is not None and bool(p.grad.any()) for p in case.network.parameters())
    return None if reached else "no weight has a gradient"


def no_peeking(case: Case) -> str | None:
    """The logits at a step do not depend on later characters."""
    changed = case.ids.clone()
    changed[STEPS // 2 :] = (changed[STEPS // 2 :] + 1) % VOCABULARY
    first, second = case.network(case.ids, case.initial())[0], case.network(changed, case.initial())[0]
    for step in range(STEPS // 2):
        if not _close(first[step], second[step]):
            return f"changing character {STEPS // 2} changes the logits at step {step}"
    return None


def streams_independent(case: Case) -> str | None:
    """A stream's logits do not depend on the other streams."""
    together, _ = case.network(case.ids, case.initial())
    for stream in range(BATCH):
        alone, _ = case.network(case.ids[:, stream : stream + 1], case.initial(1))
        if not _close(together[:, stream], alone[:, 0]):
            return f"sequence {stream} of the batch has other logits alone than in the batch"
    return None


def state_carried(case: Case) -> str | None:
    """Reading a text in two parts, with the state carried between them, equals reading it at once."""
    whole, _ = case.network(case.ids, case.initial())
    first, state = case.network(case.ids[:4], case.initial())
    second, _ = case.network(case.ids[4:], state)
    return None if _close(whole, torch.cat([first, second])) else "two parts have other logits than the whole"


def state_used(case: Case) -> str | None:
    """The carried state is used: earlier input changes the logits."""
    _, state = case.network(case.ids, case.initial())
    if not state:
        return "there is no state"
    fresh, carried = case.network(case.ids[:1], case.initial())[0], case.network(case.ids[:1], state)[0]
    return "the state makes no difference to the logits" if torch.equal(fresh, carried) else None


def steps_equal_forward(case: Case) -> str | None:
    """T steps of a predictor equal one forward."""
    whole, _ = case.network(case.ids, case.initial())
    predictor, state = case.model.predictor(), case.initial()
    for step in range(STEPS):
        logits, state = predictor.step(case.ids[step], state)
        if not _close(whole[step], logits):
            return f"step {step} has other logits than forward"
    return None


def arguments_kept(case: Case) -> str | None:
    """forward modifies neither the ids nor the state passed to it."""
    state, ids = case.initial(), case.ids.clone()
    before = {name: values.clone() for name, values in state.items()}
    case.network(ids, state)
    same = torch.equal(ids, case.ids) and all(torch.equal(before[name], state[name]) for name in before)
    return None if same else "its arguments were changed"


def deterministic(case: Case) -> str | None:
    """The same seed builds the same weights, and the same input gives the same logits."""
    again = build_model(case.architecture, case.config, {}, VOCABULARY, seed=1).network.eval()
    for (name, mine), theirs in zip(
        case.network.state_dict().items(), again.state_dict().values(), strict=True
    ):
        if not torch.equal(mine, theirs):
            return f"{name} differs between two models built with one seed"
    first, second = case.network(case.ids, case.initial())[0], case.network(case.ids, case.initial())[0]
    return None if torch.equal(first, second) else "logits differ between two readings of one text"


def kernels_agree(case: Case) -> str | None:
    """The compiled kernels of a cell give the loss, the gradients and the logits of its step."""
    network = case.network
    if uncompiled_cell(network) or obstacle(network, CPU, "float32"):
        return None  # it trains by PyTorch, which is no fault
    losses, gradients = {}, {}
    for engine in ("fast", "plain"):
        network.zero_grad()
        update = choose_engine(network, CPU, "float32", engine, batch_size=BATCH)[1]
        losses[engine], _ = update(case.ids[:-1], case.ids[1:], case.initial(), 1.0)
        gradients[engine] = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    if not _close(losses["fast"], losses["plain"]):
        return f"the loss is {float(losses['fast'])} compiled and {float(losses['plain'])} by PyTorch"
    for name, values in gradients["plain"].items():
        if not _close(gradients["fast"][name], values):
            return f"the gradient of {name} differs between the compiled kernels and PyTorch"
    stream = open_stream(case.model.predictor(), case.initial(1), "compiled" if can_compile() else "arrays")
    alone, _ = network(case.ids[:, :1], case.initial(1))
    for step in range(STEPS):
        if not _close(torch.from_numpy(stream.step(int(case.ids[step, 0]))), alone[step, 0]):
            return f"step {step} has other logits in the compiled sampling step"
    return None


def saved_and_loaded(case: Case) -> str | None:
    """A saved and loaded model has the same logits."""
    with tempfile.TemporaryDirectory() as folder:
        save_model(case.model, Path(folder))
        model = load_model(Path(folder), {case.architecture.name: case.architecture})
    assert isinstance(model, Model)
    loaded = model.network.eval()
    first, second = case.network(case.ids, case.initial())[0], loaded(case.ids, case.initial())[0]
    return None if torch.equal(first, second) else "the loaded model has other logits"


RULES: tuple[Rule, ...] = (
    state_form,
    shapes,
    finite,
    learns,
    no_peeking,
    streams_independent,
    state_carried,
    state_used,
    steps_equal_forward,
    arguments_kept,
    deterministic,
    kernels_agree,
    saved_and_loaded,
)


def broken_rules(architecture: Architecture, **settings: Any) -> Iterator[BrokenRule]:
    """The rules that a small model of this architecture breaks; `settings` override its defaults."""
    for rule in checked_rules(architecture, **settings):
        if rule.seen is not None:
            yield BrokenRule(rule.rule, rule.seen)


def checked_rules(architecture: Architecture, **settings: Any) -> Iterator[CheckedRule]:
    """The rules, kept or broken by a small model of this architecture; `settings` override its defaults."""
    code = architecture.cell or architecture.build or architecture.fit
    if architecture.counted:
        origin = ("fit", "fit(config, vocabulary_size, tokens) yields events, and returns a predictor.")
        yield from check_rules(origin, lambda: counted.count(architecture, settings), counted.RULES, code)
    else:
        origin = ("build", "A model can be built with the default settings.")
        yield from check_rules(origin, lambda: _case(architecture, settings), RULES, code)


def check_architecture(architecture: Architecture | str, **settings: Any) -> None:
    """Raise PluginError naming the broken rules, if there are any.

    A name is looked up among the installed plugins and those of the current project, as `--arch` is.
    """
    if isinstance(architecture, str):
        architecture = find_architecture(architecture)
    broken = list(broken_rules(architecture, **settings))
    if broken:
        raise PluginError(f"architecture {architecture.name!r} breaks {'; '.join(map(str, broken))}")


def _case(architecture: Architecture, settings: dict[str, Any]) -> Case:
    dropped = {name: 0.0 for name in DROPOUT if name in architecture.config.model_fields}
    config = architecture.config(**{"hidden_size": 8, **dropped, **settings})
    model = build_model(architecture, config, {}, VOCABULARY, seed=1)
    model.network.eval()
    ids = torch.randint(VOCABULARY, (STEPS, BATCH), generator=torch.Generator().manual_seed(2))
    return Case(architecture, config, model, ids)


def _form(state: State) -> dict[str, list[int]]:
    return {name: list(values.shape) for name, values in sorted(state.items())}


def _close(first: Tensor, second: Tensor) -> bool:
    return torch.allclose(first, second, rtol=RELATIVE, atol=ABSOLUTE)
