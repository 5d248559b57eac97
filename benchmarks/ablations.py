"""Each setting that is said to help, alone against a base: equal steps, several corpora and seeds.

    python benchmarks/ablations.py tiny_shakespeare.txt war_and_peace.txt --into ablations.jsonl    # an hour
    python benchmarks/ablations.py --into ablations.jsonl --table               # what is there, as a table

Steps, not seconds: other work on the machine does not change the figures. Every training is a line of JSON in the
file; those that are there are not done again. Two scenes: `long`, where much of a corpus is read less than twice, and
`short`, where a little of it is read over and over, which is where what keeps from learning by heart can help. Each is
an LSTM 1x256, whose rate is the best of those in the table on tiny Shakespeare.

Layer normalisation and schedules of batch and window are none of charpipe's settings. They are tried here with a
recurrence of this script's own, as a plugin brings one, and with batches that change their shape.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

import charpipe.training.initialization
from charpipe.evaluation import score
from charpipe.models import LanguageModel, Model, State, build_model, load_model
from charpipe.plugin import resolve
from charpipe.plugins.registry import Registry
from charpipe.training import TrainConfig, best_checkpoint, train
from charpipe.training.batches import Batches, fit_batches

SCENES = {"long": {"steps": 700, "characters": 900_000}, "short": {"steps": 700, "characters": 100_000}}
LOOKED_AT, SCORED = 50_000, 100_000
"""Characters after those trained on: by the first early stopping chooses, the others are what counts."""
SEEDS = (1, 2, 3)
BASE = {"lstm.hidden_size": 256, "lstm.dropout": 0.0, "lstm.recurrent_dropout": 0.0, "learning_rate": 2e-2}

Change = dict[str, Any]
"""Settings by name. Those of the architecture begin with `lstm.`; `layer_norm` and `phases` are this script's."""
LONG: dict[str, Change] = {
    "base": {},
    "rate 1e-2": {"learning_rate": 1e-2},
    "rate 4e-2": {"learning_rate": 4e-2},
    "constant rate": {"schedule": "constant"},
    "linear": {"schedule": "linear"},
    "one-cycle, warmup 0.3": {"schedule": "one-cycle", "warmup": 0.3},
    "warmup 0.3": {"warmup": 0.3},
    "average 0.99": {"average": 0.99},
    "constant rate, average 0.99": {"schedule": "constant", "average": 0.99},
    "forget bias 0": {"lstm.forget_bias": 0.0},
    "orthogonal": {"lstm.initialisation": "orthogonal"},
    "char-rnn's first weights": {"lstm.initialisation": "char-rnn"},
    "embedding 64": {"lstm.embedding_size": 64},
    "embedding 256": {"lstm.embedding_size": 256},
    "embedding 256, tied": {"lstm.embedding_size": 256, "lstm.tie_weights": True},
    "weight decay 0.1": {"weight_decay": 0.1},
    "clip each element at 0.01": {"clip_by": "value", "clip": 0.01},
    "no clipping": {"clip": 0.0},
    "layer normalisation": {"layer_norm": True},
    "3.5 times the steps, the time that layer normalisation takes": {"steps": 2450},
    "batch 16, then 32, then 64": {"phases": [(467, 16, 64), (233, 32, 64), (117, 64, 64)]},
    "window 32, then 64, then 128": {"phases": [(467, 32, 32), (233, 32, 64), (117, 32, 128)]},
}
SHORT: dict[str, Change] = {
    "base": {},
    "dropout 0.2": {"lstm.dropout": 0.2},
    "dropout 0.4": {"lstm.dropout": 0.4},
    "locked dropout 0.4": {"lstm.dropout": 0.4, "lstm.locked_dropout": True},
    "recurrent dropout 0.2": {"lstm.recurrent_dropout": 0.2},
    "recurrent dropout 0.4": {"lstm.recurrent_dropout": 0.4},
    "both 0.4": {"lstm.recurrent_dropout": 0.4, "lstm.dropout": 0.4},
    "average 0.99": {"average": 0.99},
    "weight decay 0.1": {"weight_decay": 0.1},
    "weight decay 1": {"weight_decay": 1.0},
    "early stopping": {"patience": 3, "evaluate_every": 35},
}
CASES = {"long": LONG, "short": SHORT}


class NormalisedLstm(nn.Module):
    """An LSTM of one layer whose sums of inputs and of hidden units, and whose cell, are normalised (Ba, Kiros, Hinton
    2016, equations 20 to 22)."""

    def __init__(self, inputs: int, size: int) -> None:
        super().__init__()
        self.of_inputs, self.of_hidden = nn.Linear(inputs, 4 * size, bias=False), nn.Linear(size, 4 * size)
        self.inputs_norm, self.hidden_norm = nn.LayerNorm(4 * size), nn.LayerNorm(4 * size, bias=False)
        self.cell_norm, self.size = nn.LayerNorm(size), size
        with torch.no_grad():
            self.of_inputs.weight.normal_()  # as charpipe's own for one-hot characters
            self.of_hidden.bias.zero_()
            self.of_hidden.bias[size : 2 * size] = 1.0

    def initial_state(self, batch_size: int) -> State:
        like = self.of_hidden.weight
        return {name: like.new_zeros(1, batch_size, self.size) for name in ("hidden", "cell")}

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        added = self.inputs_norm(self.of_inputs(inputs))
        hidden, cell, outputs = state["hidden"][0], state["cell"][0], []
        bias = self.of_hidden.bias
        for each in added:
            sums = each + self.hidden_norm(functional.linear(hidden, self.of_hidden.weight)) + bias
            i, f, g, o = sums.chunk(4, 1)
            cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
            hidden = o.sigmoid() * self.cell_norm(cell).tanh()
            outputs.append(hidden)
        return torch.stack(outputs), {"hidden": hidden[None], "cell": cell[None]}


class Phases:
    """Batches of one shape for some steps, then of another. Used like `Batches`; each phase starts an epoch."""

    def __init__(self, phases: list[tuple[int, int, int]], tokens: Any, seed: int) -> None:
        self.tokens, self.offset, first = tokens, 0, 0
        self.phases: list[tuple[int, Batches]] = []
        for steps, batch_size, window in phases:
            self.phases.append((first, fit_batches(tokens, batch_size, window, seed)))
            first += steps
        self.now = self.phases[0][1]

    def _at(self, step: int) -> int:
        first, self.now = next(phase for phase in reversed(self.phases) if step >= phase[0])
        return step - first

    def starts_epoch(self, step: int) -> bool:
        place = self._at(step)
        return self.now.starts_epoch(place) or place == 0

    def read(self, step: int) -> tuple[Tensor, Tensor]:
        place = self._at(step)
        return self.now.read(place)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.now, name)


def new_model(sizes: Change, layer_norm: bool, vocabulary: Any, count: int, seed: int) -> Model:
    architecture = Registry().architecture("lstm")
    config = architecture.config(**sizes)
    model = build_model(architecture, config, vocabulary, count, seed=seed)
    if layer_norm:
        torch.manual_seed(seed)
        model.network = LanguageModel(
            config, count, lambda inputs: NormalisedLstm(inputs, config.hidden_size)
        )
    return model


def trained(text: str, scene: str, change: Change, seed: int, steps: int | None) -> dict[str, float]:
    """The loss on the text after the one trained on, nats per character, and how long it took."""
    count = int(SCENES[scene]["characters"])
    change = {**BASE, **change}
    sizes = {key[5:]: value for key, value in change.items() if key.startswith("lstm.")}
    changes = {key: value for key, value in change.items() if not key.startswith("lstm.")}
    layer_norm, phases = changes.pop("layer_norm", False), changes.pop("phases", None)
    tokenizer = Registry().tokenizer("char")
    vocabulary = resolve(tokenizer.learn)(dict.fromkeys(sorted(set(text)), 1), tokenizer.config())
    encoding = resolve(tokenizer.load)(vocabulary)
    tokens = encoding.encode(text[: count + LOOKED_AT + SCORED])
    length = steps or (sum(phase[0] for phase in phases) if phases else int(SCENES[scene]["steps"]))
    settings = TrainConfig(
        **{"steps": length, "seed": seed, "device": "cpu", "evaluate_every": length, **changes}
    )
    model = new_model(sizes, layer_norm, vocabulary, encoding.size, seed)
    if phases:
        batches = Phases(phases, tokens[:count], seed)
        charpipe.training.initialization.fit_batches = lambda *_: batches  # type: ignore[assignment]
        charpipe.training.initialization.replace = lambda batches, **_: batches  # type: ignore[assignment]
    began = time.perf_counter()
    scored = model
    with tempfile.TemporaryDirectory() as folder:
        looked_at = tokens[count : count + LOOKED_AT] if settings.patience else None
        for _ in train(model, tokens[:count], settings, validation=looked_at, checkpoints=Path(folder)):
            pass
        best = best_checkpoint(Path(folder)) if settings.patience else None
        if best is not None:
            scored = load_model(best, {"lstm": Registry().architecture("lstm")})
    seconds = round(time.perf_counter() - began, 1)
    return {
        "loss": score(scored.predictor(), tokens[count + LOOKED_AT :], full=True).nats,
        "seconds": seconds,
    }


def one(job: tuple[Path, str, str, int], steps: int | None) -> dict[str, Any]:
    """A line of the file, found in a process of its own with one thread."""
    torch.set_num_threads(1)
    path, scene, case, seed = job
    text = path.read_bytes().decode("utf-8")
    return {
        "text": path.name,
        "scene": scene,
        "case": case,
        "seed": seed,
        **trained(text, scene, CASES[scene][case], seed, steps),
    }


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
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--table", action="store_true")
    chosen = parser.parse_args()
    if not chosen.table:
        jobs = list(missing(chosen.into, chosen.texts, chosen.scene or list(SCENES), chosen.case))
        with (
            ProcessPoolExecutor(chosen.processes, max_tasks_per_child=1) as pool,
            chosen.into.open("a") as file,
        ):
            for line in pool.map(partial(one, steps=chosen.steps), jobs):
                file.write(json.dumps(line) + "\n")
                file.flush()
                print(json.dumps(line), flush=True)
    print(table(lines(chosen.into)))


if __name__ == "__main__":
    main()
