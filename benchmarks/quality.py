"""What charpipe reaches in a given training time, beside what is known of others; with the spread over seeds.

    python benchmarks/quality.py tiny_shakespeare.txt war_and_peace.txt                # an hour and three quarters
    python benchmarks/quality.py tiny_shakespeare.txt --seconds 5 60 --seeds 1         # a part of it
    python benchmarks/quality.py war_and_peace.txt --preset fast --set train.average=0.999
    python benchmarks/quality.py war_and_peace.txt --sections 100 --ngram 20              # divided as char-rnn does
    python benchmarks/quality.py tiny_shakespeare.txt --preset best --steps 9800 --seeds 1    # whatever else runs

With the defaults where they reach a goal; what is set for the others stands at the goals below, and in the table,
unless `--preset` or `--set` say otherwise.

Training time alone: from the first step to the last, without evaluations, samples and checkpoints. How many
steps fit into it is measured before, in a training that is thrown away; the time they took stands in the table.
tiny_shakespeare: first nine tenths train, last tenth scored, whole, with carried state, and the same model on random
windows of 256 characters that each begin with nothing, as nanoGPT scores. war_and_peace: its bytes, 80/10/10, the test
tenth. With `--sections 100` each hundredth of the text is divided so, and the parts of one kind are joined: that is
how char-rnn divides a text for its batches of a hundred. `--ngram 20` counts n-grams on the same division beside it.
Needs a machine that does nothing else, but with `--steps`: then the updates are given, and the losses are the same with
any number of threads (`OMP_NUM_THREADS=1`, one of these on each core, is how presets are compared).
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from charpipe.config import load_config
from charpipe.evaluation import score
from charpipe.events import Step, TrainingStarted
from charpipe.models import Model, Predictor, build_model
from charpipe.models.fitted import fit
from charpipe.plugin import Encoding, resolve
from charpipe.plugins.registry import Registry
from charpipe.training import TrainConfig, train

COLD_WINDOW, COLD_WINDOWS = 256, 2000
MEASURED = 10.0
"""Seconds at most for which it is measured how long a step takes."""
KEPT = 0.96
"""Of the time: what a machine that becomes a little slower leaves of it."""


@dataclass(frozen=True)
class Goal:
    """So many nats on the scored part of a text after so many seconds, whose figure that is, and what is set for it."""

    seconds: float
    nats: float
    reference: str
    settings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """How a text is divided and read: the shares that are trained on and come before the scored one."""

    tokenizer: str
    train: float
    before: float
    cold: bool
    goals: tuple[Goal, ...]


TASKS = {
    "tiny_shakespeare": Task(
        "char",
        0.9,
        0.9,
        True,
        (
            Goal(
                5,
                1.886,
                "a plain 1x512 LSTM, two CPU cores, after 12 s; nanoGPT's CPU recipe 1.88",
                (
                    "architectures.lstm.hidden_size=128",
                    "architectures.lstm.dropout=0",
                    "architectures.lstm.recurrent_dropout=0",
                    "train.batch_size=16",
                    "train.window=32",
                    "train.learning_rate=2e-2",
                ),
            ),
            Goal(60, 1.4697, "nanoGPT, three minutes on an A100, windows of 256"),
            Goal(
                180,
                1.42,
                "a plain 1x512 LSTM, two CPU cores: 1.457",
                ("architectures.lstm.dropout=0.3", "architectures.lstm.recurrent_dropout=0.2"),
            ),
        ),
    ),
    "war_and_peace": Task(
        "byte",
        0.8,
        0.9,
        False,
        (
            Goal(
                1800,
                1.077,
                "Karpathy, Johnson, Fei-Fei 2015, their best",
                (
                    "architectures.lstm.hidden_size=1024",
                    "architectures.lstm.dropout=0.2",
                    "architectures.lstm.recurrent_dropout=0.1",
                    "train.learning_rate=4e-3",
                ),
            ),
        ),
    ),
}
DEFAULT = Task("char", 0.9, 0.9, True, ())


def read(
    path: Path, task: Task, sections: int
) -> tuple[Encoding, dict[str, Any], NDArray[Any], NDArray[Any]]:
    """The vocabulary, the tokens to train on and those to score."""
    registry = Registry()
    text = path.read_bytes().decode("utf-8")
    tokenizer = registry.tokenizer(task.tokenizer)
    vocabulary = resolve(tokenizer.learn)(dict.fromkeys(sorted(set(text)), 1), tokenizer.config())
    encoding = resolve(tokenizer.load)(vocabulary)
    tokens = encoding.encode(text)
    length = len(tokens) // sections
    rows = tokens[: sections * length].reshape(sections, length)
    return (
        encoding,
        vocabulary,
        rows[:, : int(length * task.train)].ravel(),
        rows[:, int(length * task.before) :].ravel(),
    )


def ngram_nats(path: Path, task: Task, sections: int, order: int) -> float:
    """Nats of n-grams counted in the same text, smoothed as KenLM does (modified Kneser-Ney)."""
    encoding, _, tokens, held = read(path, task, sections)
    architecture = Registry().architecture("ngram")
    fitting = fit(
        architecture,
        architecture.config.model_validate({"order": order, "discounts": "estimated"}),
        encoding.size,
        tokens,
    )
    while True:
        try:
            next(fitting)
        except StopIteration as done:
            return score(done.value, held, full=True).nats


def trained(chosen: argparse.Namespace, path: Path, task: Task, length: float, seed: int) -> dict[str, float]:
    """One training of so many seconds, or steps, and its scores."""
    encoding, vocabulary, tokens, held = read(path, task, chosen.sections)
    settings = {"train.seed": seed, "train.evaluate_every": 10**9, "train.checkpoint_every": 10**9}
    config = load_config(
        preset=chosen.preset, settings=settings, overrides=changes(chosen, task, length)
    ).config
    architecture = Registry().architecture(chosen.arch)
    sizes = architecture.config(**config.architectures.get(chosen.arch, {}))

    def new_model() -> Model:
        return build_model(architecture, sizes, vocabulary, encoding.size, seed=seed)

    if chosen.steps:
        steps = int(length)
    else:
        rate = seconds_a_step(new_model(), tokens, config.train, min(length, MEASURED))
        steps = int(length * KEPT / rate)
    model = new_model()
    times = list(step_times(model, tokens, config.train.model_copy(update={"steps": steps})))
    return {
        "steps": steps,
        "seconds": times[-1] - times[0],
        "nats": score(model.predictor(), held, full=True).nats,
        **({"cold": cold(model, held, seed)} if task.cold else {}),
    }


def step_times(
    model: Model, tokens: NDArray[Any], settings: TrainConfig, stop: Callable[[], bool] | None = None
) -> Iterator[float]:
    """Trains, and says when it began and when each step was done."""
    with tempfile.TemporaryDirectory() as folder:
        for event in train(model, tokens, settings, checkpoints=Path(folder), stop=stop):
            if isinstance(event, TrainingStarted | Step):
                yield time.perf_counter()


def seconds_a_step(model: Model, tokens: NDArray[Any], settings: TrainConfig, measured: float) -> float:
    """The mean of the second half of a training that is thrown away after so many seconds."""
    end = time.perf_counter() + measured
    settings = settings.model_copy(update={"steps": 10**6})
    times = list(step_times(model, tokens, settings, lambda: time.perf_counter() > end))
    half = times[len(times) // 2 :]
    return (half[-1] - half[0]) / (len(half) - 1)


def changes(chosen: argparse.Namespace, task: Task, length: float) -> list[str]:
    """What is set: as asked for, or as it stands at the goal."""
    goal = next((goal for goal in task.goals if goal.seconds == length), None)
    if goal is None or chosen.steps or chosen.preset or chosen.set:
        return list(chosen.set)
    return list(goal.settings)


def cold(model: Model, held: NDArray[Any], seed: int) -> float:
    """Nats of random windows, each read from the initial state, every one of its tokens scored, as nanoGPT does."""
    predictor: Predictor = model.predictor()
    starts = np.random.default_rng(seed).integers(len(held) - COLD_WINDOW, size=COLD_WINDOWS)
    losses = []
    for part in np.array_split(starts, 20):
        ids = np.stack([held[start : start + COLD_WINDOW + 1] for start in part], axis=1).astype(np.int64)
        nats, _ = predictor.score(torch.from_numpy(ids), predictor.initial_state(len(part)))
        losses.append(float(nats.mean()) * len(part))
    return sum(losses) / COLD_WINDOWS


def measured(chosen: argparse.Namespace) -> Iterator[dict[str, Any]]:
    for path in chosen.texts:
        task = TASKS.get(path.stem, DEFAULT)
        if chosen.ngram:
            nats = ngram_nats(path, task, chosen.sections, chosen.ngram)
            print(
                f"{path.stem}, {chosen.sections} sections: n-grams of order {chosen.ngram}: {nats:.4f} nats",
                flush=True,
            )
        for length in chosen.steps or chosen.seconds or [goal.seconds for goal in task.goals]:
            for seed in range(1, chosen.seeds + 1):
                found = trained(chosen, path, task, length, seed)
                settings = changes(chosen, task, length)
                line = {"text": path.stem, "length": length, "settings": settings, "seed": seed, **found}
                print(
                    json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in line.items()}),
                    flush=True,
                )
                yield line


def table(found: list[dict[str, Any]], by_steps: bool) -> str:
    """A row for each text and time: mean and standard deviation over the seeds, beside the goal."""
    shown = [
        "| text | set | seconds | steps | nats, carried state | cold windows of 256 | goal | reference |"
    ]
    shown.append("| --- " * 8 + "|")
    for text, length in dict.fromkeys((line["text"], line["length"]) for line in found):
        lines = [line for line in found if (line["text"], line["length"]) == (text, length)]
        goals = () if by_steps else TASKS.get(text, DEFAULT).goals
        goal = next((goal for goal in goals if goal.seconds == length), None)
        cells = [
            text,
            ", ".join(
                change[change.rfind(".", 0, change.index("=")) + 1 :] for change in lines[0]["settings"]
            ),
            f"{mean(line['seconds'] for line in lines):.1f}",
            f"{mean(line['steps'] for line in lines):,.0f}",
            _spread([line["nats"] for line in lines]),
            _spread([line["cold"] for line in lines if "cold" in line]),
            f"{goal.nats:g}" if goal else "",
            goal.reference if goal else "",
        ]
        shown.append("| " + " | ".join(cells) + " |")
    return "\n".join(shown)


def _spread(values: list[float]) -> str:
    if not values:
        return ""
    return f"{mean(values):.4f}" + (f" ± {stdev(values):.4f} (n={len(values)})" if len(values) > 1 else "")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("texts", type=Path, nargs="+")
    parser.add_argument("--seconds", type=float, nargs="*", help="instead of the goals' own")
    parser.add_argument("--steps", type=int, nargs="*", help="instead of seconds")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--sections", type=int, default=1, help="parts of the text that are divided each by itself"
    )
    parser.add_argument("--ngram", type=int, help="the order of n-grams to count too")
    parser.add_argument("--arch", default="lstm")
    parser.add_argument("--preset")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    chosen = parser.parse_args()
    found = list(measured(chosen))
    print(
        f"\n{date.today()}, {platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    print(f"preset {chosen.preset}, {chosen.sections} sections\n\n{table(found, bool(chosen.steps))}")


if __name__ == "__main__":
    main()
