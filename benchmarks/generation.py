"""Sampling speed: charpipe's `generate` against a plain eager PyTorch step loop over the same weights, in one run.

    python benchmarks/generation.py
    python benchmarks/generation.py --arch lstm gru --sizes 2x512 --length 5000
    python benchmarks/generation.py --plugins plugins --arch my-cell

The plain side is what one writes first: one-hot, `nn.LSTM`, the head, softmax of logits over temperature,
`torch.multinomial`; for a plugin's cell, which PyTorch has no layer for, two linear products and the cell's own `step`.
It runs with one thread and with PyTorch's default, of which the faster counts. Both sides are timed to the
text, in turns, and each shows its best round: other work on the machine only slows one down. The text of charpipe's
own path through PyTorch, for the same seed, is compared too. Weights are as initialised: a step's work is the same.

`--many 64` measures texts side by side in one batch, in each `--precision`; beside them the same plain loop with
that batch. A roofline of a kind comes with it: how fast one core and all read a matrix of the model's size.
`--json` prints a line for each row instead of the tables.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from charpipe.cells import Trace
from charpipe.cells.trace import Named
from charpipe.generation import SampleConfig, generate, sample, sample_many
from charpipe.models import Model, Predictor, build_model
from charpipe.models.cell_layers import CellLayers
from charpipe.plugin import resolve
from charpipe.plugins.registry import Registry

CHARACTERS = "\n !$&',-.3:;?" + "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + "abcdefghijklmnopqrstuvwxyz"
TEMPERATURE = 0.8


class TorchPredictor:
    """A predictor that takes the path through PyTorch."""

    def __init__(self, inner: Predictor) -> None:
        self.vocabulary_size = inner.vocabulary_size
        self.initial_state, self.step, self.score = inner.initial_state, inner.step, inner.score


class EagerCell:
    """A cell's layers as its author would step them: inputs [1, B, I] -> outputs [1, B, H] and the state."""

    def __init__(self, layers: CellLayers) -> None:
        self.cell, self.weights = layers.cell, dict(layers.named_parameters())
        self.places, self.size = range(layers.num_layers), layers.hidden_size
        trace = layers.compiled_form()
        assert isinstance(trace, Trace), trace
        self.inputs, self.hiddens = (
            [trace.gates[i] for i in of] for of in (trace.input_gates, trace.hidden_gates)
        )

    def __call__(self, inputs: Tensor, state: Any) -> tuple[Tensor, Any]:
        x = inputs[0]
        if state is None:
            state = [{name: x.new_zeros(len(x), self.size) for name in self.cell.state} for _ in self.places]
        after = []
        for place, before in zip(self.places, state, strict=True):
            after.append(self._step(x, before, place))
            x = after[-1][self.cell.state[0]]
        return x[None], after

    def _step(self, x: Tensor, before: dict[str, Tensor], place: int) -> dict[str, Tensor]:
        def product(values: Tensor, kind: str, names: list[str]) -> dict[str, Tensor]:
            if not names:
                return {}
            weights, bias = (self.weights[f"{name}_{kind}_l{place}"] for name in ("weight", "bias"))
            return dict(
                zip(names, functional.linear(values, weights, bias).chunk(len(names), 1), strict=True)
            )

        gates = product(x, "ih", self.inputs)
        for name, values in product(before[self.cell.state[0]], "hh", self.hiddens).items():
            gates[name] = gates[name] + values if name in gates else values
        arguments = [Named("gates", gates), Named("state", before)]
        if self.cell.vectors:
            arguments.append(
                Named("vectors", {name: self.weights[f"{name}_l{place}"] for name in self.cell.vectors})
            )
        found: dict[str, Tensor] = self.cell.step(*arguments)
        return found


@torch.no_grad()
def plain(model: Model, length: int, count: int = 1) -> str:
    """A step loop as one writes it, for `count` texts at once; the first of them."""
    layer, head = model.network.recurrence.layer, model.network.head
    if isinstance(layer, CellLayers):
        layer = EagerCell(layer)
    state, token, written = None, torch.zeros(count, dtype=torch.int64), []
    generator = torch.Generator().manual_seed(1)
    for _ in range(length):
        x = functional.one_hot(token, len(CHARACTERS)).float()[None]
        outputs, state = layer(x, state)
        probabilities = (head(outputs[0]) / TEMPERATURE).softmax(-1)
        token = torch.multinomial(probabilities, 1, generator=generator)[:, 0]
        written.append(CHARACTERS[int(token[0])])
    return "".join(written)


def rate(work: Callable[[], Any], length: int) -> float:
    began = time.perf_counter()
    work()
    return length / (time.perf_counter() - began)


def measure(model: Model, encoding: Any, length: int, rounds: int, engine: str) -> dict[str, Any]:
    predictor = model.predictor()
    settings = SampleConfig(length=length, temperature=TEMPERATURE, engine=engine)
    default = torch.get_num_threads()
    rates: dict[str, list[float]] = {"charpipe": [], "plain 1": [], f"plain {default}": []}
    short = max(50, length // 20)
    "".join(
        generate(predictor, encoding, settings.model_copy(update={"length": 2000}))
    )  # what is loaded once
    for _ in range(rounds):
        rates["charpipe"].append(rate(lambda: "".join(generate(predictor, encoding, settings)), length))
        for threads in {1, default}:
            torch.set_num_threads(threads)
            rates[f"plain {threads}"].append(rate(lambda: plain(model, short), short))
            torch.set_num_threads(default)
    compared = settings.model_copy(update={"length": min(length, 2000)})
    same = sample(predictor, encoding, compared) == sample(TorchPredictor(predictor), encoding, compared)
    return {**{name: max(found) for name, found in rates.items()}, "same": same}


def measure_many(model: Model, encoding: Any, count: int, precision: str, rounds: int) -> float:
    settings = SampleConfig(length=300, temperature=TEMPERATURE, precision=precision)
    work = lambda: sample_many(model.predictor(), encoding, count, settings)  # noqa: E731
    return max(rate(work, 300 * count) for _ in range(rounds))


def reading(megabytes: float, threads: int) -> float:
    """GB/s at which a matrix of that size is read again and again: most of what one text's step does."""
    torch.set_num_threads(threads)
    values = torch.zeros(int(megabytes * 2**18))
    found = max(rate(lambda: [values.sum() for _ in range(20)], 20 * values.numel() * 4) for _ in range(10))
    return found / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--arch", nargs="*", default=["rnn", "lstm", "gru"])
    parser.add_argument(
        "--plugins", type=Path, nargs="*", default=[], help="folders of plugins with more cells"
    )
    parser.add_argument("--sizes", nargs="*", default=["1x128", "1x256", "2x512"])
    parser.add_argument("--length", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--engine", default="compiled", choices=["compiled", "arrays", "plain", "auto"])
    parser.add_argument("--many", type=int, default=0)
    parser.add_argument("--precision", nargs="*", default=["float32", "bfloat16", "int8"])
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    registry = Registry(chosen.plugins)
    vocabulary = {"characters": "".join(sorted(CHARACTERS)), "nibbles": False}
    encoding = resolve(registry.tokenizer("char").load)(vocabulary)
    load = os.getloadavg()[0]
    say = (lambda *_, **__: None) if chosen.json else print
    say(
        f"{date.today()}, {platform.machine()}, {os.cpu_count()} cores, load {load:.1f}, "
        f"torch {torch.__version__} ({torch.get_num_threads()} threads), numpy {np.__version__}, "
        f"{encoding.size} characters, one stream, characters a second\n"
    )
    say("| model | plain, 1 thread | plain, default | charpipe | ratio | same text |")
    say("| --- | --- | --- | --- | --- | --- |")
    for name in chosen.arch:
        for size in chosen.sizes:
            layers, hidden = map(int, size.split("x"))
            architecture = registry.architecture(name)
            config = architecture.config(hidden_size=hidden, layers=layers)
            model = build_model(architecture, config, vocabulary, encoding.size)
            model.network.eval()
            if chosen.many:
                many(model, encoding, chosen, say)
                continue
            length = max(1000, chosen.length * 128**2 // (hidden**2 * layers))
            found = measure(model, encoding, length, chosen.rounds, chosen.engine)
            one, default = found["plain 1"], found[f"plain {torch.get_num_threads()}"]
            ratio = found["charpipe"] / max(one, default)
            row = {"model": model.title, **found, "ratio": ratio, "load": os.getloadavg()[0]}
            if chosen.json:
                print(json.dumps(row), flush=True)
            say(
                f"| {model.title} | {one:,.0f} | {default:,.0f} | {found['charpipe']:,.0f} | {ratio:.1f} | "
                f"{'yes' if found['same'] else 'no'} |",
                flush=True,
            )
    default = torch.get_num_threads()
    for size in () if chosen.many else (0.25, 1, 12):
        one, all_ = reading(size, 1), reading(size, default)
        say(f"reading {size} MB again and again: {one:.0f} GB/s on one core, {all_:.0f} on {default}")


def many(model: Model, encoding: Any, chosen: argparse.Namespace, say: Callable[..., None]) -> None:
    count = chosen.many
    beside = max(rate(lambda: plain(model, 30, count), 30 * count) for _ in range(min(3, chosen.rounds)))
    for precision in chosen.precision:
        found = measure_many(model, encoding, count, precision, chosen.rounds)
        row = {
            "model": model.title,
            "texts": count,
            "precision": precision,
            "charpipe": found,
            "plain": beside,
        }
        if chosen.json:
            print(json.dumps({**row, "load": os.getloadavg()[0]}), flush=True)
        say(f"{model.title}, {count} texts, {precision}: {found:,.0f} (plain loop, float32: {beside:,.0f})")


if __name__ == "__main__":
    main()
