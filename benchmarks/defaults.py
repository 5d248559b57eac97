"""What the default settings reach: trains on the first nine tenths of a text, scores the whole last tenth.

    python benchmarks/defaults.py tiny_shakespeare.txt --budget 2m
    python benchmarks/defaults.py soseki_neko.txt --set steps=500 batch_size=64 --model hidden_size=256

Prints a line as JSON: settings that were changed, steps, rate, the slice's and the whole split's nats per character.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch

from charpipe.evaluation import score
from charpipe.events import Evaluated, Finished, Sampled
from charpipe.models import build_model, load_model
from charpipe.plugin import resolve
from charpipe.plugins.registry import Registry
from charpipe.training import TrainConfig, best_checkpoint, train


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("text", type=Path)
    parser.add_argument("--arch", default="lstm")
    parser.add_argument("--budget", default="2m")
    parser.add_argument("--share", type=float, default=0.9, help="of the text that is trained on")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="of [train]")
    parser.add_argument("--model", nargs="*", default=[], metavar="KEY=VALUE", help="of the architecture")
    chosen = parser.parse_args()

    text = chosen.text.read_bytes().decode("utf-8")
    registry = Registry()
    architecture, tokenizer = registry.architecture(chosen.arch), registry.tokenizer("char")
    vocabulary = resolve(tokenizer.learn)(Counter(text), tokenizer.config())
    encoding = resolve(tokenizer.load)(vocabulary)
    tokens = encoding.encode(text)
    cut = int(len(tokens) * chosen.share)
    settings = TrainConfig(**{"budget": chosen.budget, **dict(item.split("=") for item in chosen.set)})
    config = architecture.config(**dict(item.split("=") for item in chosen.model))
    model = build_model(architecture, config, vocabulary, encoding.size, seed=settings.seed)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for event in train(
            model, tokens[:cut], settings, validation=tokens[cut:], encoding=encoding, checkpoints=folder
        ):
            if isinstance(event, Evaluated):
                shown = "  ".join(f"{key} {value:.4f}" for key, value in event.metrics.items())
                print(f"step {event.step:,}  {shown}", flush=True)
            elif isinstance(event, Sampled):
                print(repr(event.text[:100]), flush=True)
            elif isinstance(event, Finished):
                finished = event
        best = best_checkpoint(folder)
        assert best is not None
        predictor = load_model(best, {architecture.name: architecture}).predictor()
        began = time.perf_counter()
        scores = score(predictor, tokens[cut:], characters=len(tokens) - cut, full=True)

    result = {
        "text": chosen.text.name,
        "model": model.title,
        "changed": [*chosen.set, *chosen.model],
        "steps": finished.step,
        "seconds": round(finished.seconds, 1),
        "reason": finished.reason,
        "chars_per_second": round(finished.step * settings.batch_size * settings.window / finished.seconds),
        "slice": round(finished.metrics["val/loss"], 4),
        "whole": round(scores.nats, 4),
        "bits_per_char": round(scores.bits_per_char or 0, 4),
        "scoring_seconds": round(time.perf_counter() - began, 1),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
