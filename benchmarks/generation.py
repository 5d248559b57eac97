"""Sampling speed: charpipe's `generate` against a plain eager PyTorch step loop over the same weights, in one run.

    python benchmarks/generation.py
    python benchmarks/generation.py --arch lstm gru --sizes 2x512 --length 5000

The plain side is what one writes first: one-hot, `nn.LSTM`, the head, softmax of logits over temperature,
`torch.multinomial`; with one thread and with PyTorch's default, of which the faster counts. Both sides are timed to the
text, in turns, and each shows its best round: other work on the machine only slows one down. The text of charpipe's
own path through PyTorch, for the same seed, is compared too. Weights are as initialised: a step's work is the same.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from charpipe.generation import SampleConfig, generate, sample
from charpipe.models import Model, Predictor, build_model
from charpipe.plugin import resolve
from charpipe.registry import Registry

CHARACTERS = "\n !$&',-.3:;?" + "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + "abcdefghijklmnopqrstuvwxyz"
TEMPERATURE = 0.8


class Unknown:
    """A predictor that takes the path through PyTorch."""

    def __init__(self, inner: Predictor) -> None:
        self.vocabulary_size = inner.vocabulary_size
        self.initial_state, self.step, self.score = inner.initial_state, inner.step, inner.score


@torch.no_grad()
def plain(model: Model, length: int) -> str:
    """A step loop as one writes it."""
    layer, head = model.network.recurrence.layer, model.network.head
    state, token, written = None, torch.tensor([0]), []
    generator = torch.Generator().manual_seed(1)
    for _ in range(length):
        x = functional.one_hot(token, len(CHARACTERS)).float()[None]
        outputs, state = layer(x, state)
        probabilities = (head(outputs[0]) / TEMPERATURE).softmax(-1)
        token = torch.multinomial(probabilities, 1, generator=generator)[:, 0]
        written.append(CHARACTERS[int(token)])
    return "".join(written)


def rate(work: Callable[[], Any], length: int) -> float:
    began = time.perf_counter()
    work()
    return length / (time.perf_counter() - began)


def measure(model: Model, encoding: Any, length: int, rounds: int) -> dict[str, Any]:
    predictor = model.predictor()
    settings = SampleConfig(length=length, temperature=TEMPERATURE)
    default = torch.get_num_threads()
    rates: dict[str, list[float]] = {"charpipe": [], "plain 1": [], f"plain {default}": []}
    short = max(50, length // 20)
    for _ in range(rounds):
        rates["charpipe"].append(rate(lambda: "".join(generate(predictor, encoding, settings)), length))
        for threads in {1, default}:
            torch.set_num_threads(threads)
            rates[f"plain {threads}"].append(rate(lambda: plain(model, short), short))
            torch.set_num_threads(default)
    compared = settings.model_copy(update={"length": min(length, 2000)})
    same = sample(predictor, encoding, compared) == sample(Unknown(predictor), encoding, compared)
    return {**{name: max(found) for name, found in rates.items()}, "same": same}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--arch", nargs="*", default=["rnn", "lstm", "gru"])
    parser.add_argument("--sizes", nargs="*", default=["1x128", "1x256", "2x512"])
    parser.add_argument("--length", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=7)
    chosen = parser.parse_args()
    registry = Registry()
    vocabulary = {"characters": "".join(sorted(CHARACTERS)), "nibbles": False}
    encoding = resolve(registry.tokenizer("char").load)(vocabulary)
    load = os.getloadavg()[0]
    print(
        f"{date.today()}, {platform.machine()}, {os.cpu_count()} cores, load {load:.1f}, "
        f"torch {torch.__version__} ({torch.get_num_threads()} threads), numpy {np.__version__}, "
        f"{encoding.size} characters, one stream, characters a second\n"
    )
    print("| model | plain, 1 thread | plain, default | charpipe | ratio | same text |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in chosen.arch:
        for size in chosen.sizes:
            layers, hidden = map(int, size.split("x"))
            architecture = registry.architecture(name)
            config = architecture.config(hidden_size=hidden, layers=layers)
            model = build_model(architecture, config, vocabulary, encoding.size)
            model.network.eval()
            found = measure(model, encoding, chosen.length, chosen.rounds)
            one, default = found["plain 1"], found[f"plain {torch.get_num_threads()}"]
            ratio = found["charpipe"] / max(one, default)
            print(
                f"| {model.title} | {one:,.0f} | {default:,.0f} | {found['charpipe']:,.0f} | {ratio:.1f} | "
                f"{'yes' if found['same'] else 'no'} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
