"""Each setting that is said to help, alone against a base: equal steps, several corpora and seeds.

    OMP_NUM_THREADS=1 python benchmarks/ablations.py tiny_shakespeare.txt war_and_peace.txt --into ablations.jsonl
    python benchmarks/ablations.py --into ablations.jsonl --table                 # what is there, as a table

Steps, not seconds: other work on the machine does not change the figures. Every training is a line of JSON in the
file; those that are there are not done again. Two settings of the scene: `long`, where much of a corpus is read once,
and `short`, where little of it is read many times, which is where what keeps from learning by heart can help.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch

from charpipe.evaluation import score
from charpipe.models import build_model
from charpipe.plugin import resolve
from charpipe.registry import Registry
from charpipe.training import TrainConfig, train

SCENES = {"long": {"steps": 400, "characters": 900_000}, "short": {"steps": 600, "characters": 60_000}}
SCORED = 100_000
"""Characters after those trained on."""
SEEDS = (1, 2, 3)
BASE = {"lstm.hidden_size": 128, "learning_rate": 1.2e-2}
"""Twice the default rate: in so few steps of so small a model the default is too low, and then whatever makes the
steps larger seems to help."""

Change = dict[str, Any]
"""Settings by name; those of the architecture begin with `lstm.`."""
LONG: dict[str, Change] = {
    "base": {},
    "forget bias 0": {"lstm.forget_bias": 0.0},
    "average 0.99": {"average": 0.99},
    "constant rate": {"schedule": "constant"},
    "constant rate, average 0.99": {"schedule": "constant", "average": 0.99},
    "embedding 64": {"lstm.embedding_size": 64},
    "one-cycle, warmup 0.3": {"schedule": "one-cycle", "warmup": 0.3},
    "linear": {"schedule": "linear"},
    "orthogonal": {"lstm.initialisation": "orthogonal"},
    "weight decay 0.1": {"weight_decay": 0.1},
    "clip each element at 0.01": {"clip_by": "value", "clip": 0.01},
    "embedding 128, tied": {"lstm.embedding_size": 128, "lstm.tie_weights": True},
    "char-rnn's first weights": {"lstm.initialisation": "char-rnn"},
    "rate 6e-3": {"learning_rate": 6e-3},
    "rate 2.4e-2": {"learning_rate": 2.4e-2},
}
SHORT: dict[str, Change] = {
    "base": {},
    "no dropout": {"lstm.dropout": 0.0},
    "dropout 0.4": {"lstm.dropout": 0.4},
    "locked dropout 0.4": {"lstm.dropout": 0.4, "lstm.locked_dropout": True},
    "recurrent dropout 0.2": {"lstm.recurrent_dropout": 0.2},
    "average 0.99": {"average": 0.99},
    "weight decay 0.1": {"weight_decay": 0.1},
}
CASES = {"long": LONG, "short": SHORT}


def trained(text: str, scene: str, change: Change, seed: int, steps: int | None) -> dict[str, float]:
    """The loss on the text after the one trained on, nats per character, and how long it took."""
    count = int(SCENES[scene]["characters"])
    change = {**BASE, **change}
    sizes = {key[5:]: value for key, value in change.items() if key.startswith("lstm.")}
    changes = {key: value for key, value in change.items() if not key.startswith("lstm.")}
    registry = Registry()
    architecture, tokenizer = registry.architecture("lstm"), registry.tokenizer("char")
    vocabulary = resolve(tokenizer.learn)(dict.fromkeys(set(text), 1), tokenizer.config())
    encoding = resolve(tokenizer.load)(vocabulary)
    tokens = encoding.encode(text[: count + SCORED])
    length = steps or int(SCENES[scene]["steps"])
    settings = TrainConfig(
        **{"steps": length, "seed": seed, "device": "cpu", "evaluate_every": length, **changes}
    )
    config = architecture.config(**sizes)
    model = build_model(architecture, config, vocabulary, encoding.size, seed=seed)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for _ in train(model, tokens[:count], settings, checkpoints=Path(folder)):
            pass
    seconds = time.perf_counter() - began
    return {"loss": score(model.predictor(), tokens[count:], full=True).nats, "seconds": round(seconds, 1)}


def missing(
    file: Path, texts: list[Path], scenes: list[str], only: list[str] | None
) -> Iterator[tuple[Path, str, str, int]]:
    """What is yet to be trained, seeds outermost: a first answer comes early."""
    there = {(line["text"], line["scene"], line["case"], line["seed"]) for line in lines(file)}
    for seed in SEEDS:
        for scene in scenes:
            for case in [case for case in CASES[scene] if only is None or case in only]:
                for text in texts:
                    if (text.name, scene, case, seed) not in there:
                        yield text, scene, case, seed


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def table(found: list[dict[str, Any]]) -> str:
    """Means and standard deviations over the seeds, and the difference to the base of the same seeds."""
    texts = sorted({line["text"] for line in found})
    shown = []
    for scene, cases in CASES.items():
        shown += [f"| {scene} | " + " | ".join(texts) + " |", "| --- |" + " --- |" * len(texts)]
        for case in cases:
            cells = [_cell(found, text, scene, case) for text in texts]
            if any(cells):
                shown.append(f"| {case} | " + " | ".join(cells) + " |")
        shown.append("")
    return "\n".join(shown)


def _cell(found: list[dict[str, Any]], text: str, scene: str, case: str) -> str:
    def losses(name: str) -> dict[int, float]:
        return {
            line["seed"]: line["loss"]
            for line in found
            if (line["text"], line["scene"], line["case"]) == (text, scene, name)
        }

    mine, base = losses(case), losses("base")
    if not mine:
        return ""
    spread = f" ± {stdev(mine.values()):.4f}" if len(mine) > 1 else ""
    changes = [mine[seed] - base[seed] for seed in mine if seed in base]
    against = "" if case == "base" or not changes else f" ({mean(changes):+.4f})"
    return f"{mean(mine.values()):.4f}{spread}{against}" + (
        f" n={len(mine)}" if len(mine) < len(SEEDS) else ""
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("texts", type=Path, nargs="*")
    parser.add_argument("--into", type=Path, default=Path("ablations.jsonl"))
    parser.add_argument("--scene", choices=SCENES, action="append")
    parser.add_argument("--case", action="append", help="only this one; may be repeated")
    parser.add_argument("--steps", type=int, help="fewer, to try the script")
    parser.add_argument("--table", action="store_true")
    chosen = parser.parse_args()
    if not chosen.table:
        torch.set_num_threads(1)
        for path, scene, case, seed in missing(
            chosen.into, chosen.texts, chosen.scene or list(SCENES), chosen.case
        ):
            text = path.read_bytes().decode("utf-8")
            result = trained(text, scene, CASES[scene][case], seed, chosen.steps)
            line = {"text": path.name, "scene": scene, "case": case, "seed": seed, **result}
            with chosen.into.open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(json.dumps(line), flush=True)
    print(table(lines(chosen.into)))


if __name__ == "__main__":
    main()
