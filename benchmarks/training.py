"""Training speed: charpipe's update against a plain PyTorch loop over `nn.LSTM`, `nn.GRU` or `nn.RNN`, in one run.

    python benchmarks/training.py                                     # three cells, a dozen shapes
    python benchmarks/training.py --arch lstm --shapes 2x512x100x100  # layers x units x batch x window
    ONEDNN_MAX_CPU_ISA=AVX2 python benchmarks/training.py             # as on an ordinary laptop
    python benchmarks/training.py --device cuda                       # and again with --engine cuda-graphs
    python benchmarks/training.py --around                            # what events, records and checkpoints cost

The plain side is what one writes first: an embedding, the layers, the head, cross entropy, clipping, fused AdamW, with
carried state; in float32 and, where the device multiplies it natively, under bfloat16 autocast. Both sides make the
same updates, in turns, and each shows its best round: other work on the machine only slows one down. Each shape has a
process of its own, in which nothing is compiled yet: the first step counts that. The roofline is the share of the time
that is spent if the products that no program can leave out go as fast as this machine's registers multiply.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from charpipe.config.settings.training import TrainConfig
from charpipe.kernels.jit.builder import KernelBuilder
from charpipe.kernels.jit.compiler import compile_kernel
from charpipe.kernels.jit.processor import Processor, this_processor
from charpipe.kernels.jit.values import BFLOAT16, FLOAT32, DType, Int, Vector
from charpipe.kernels.train.threads import run_parallel
from charpipe.models import Model, build_model
from charpipe.models.precision import choose_device, choose_precision
from charpipe.plugin import resolve
from charpipe.plugins.registry import Registry
from charpipe.runs import Recorder, Run, RunInfo
from charpipe.training import train
from charpipe.training.initialization import initialize
from charpipe.training.setup import Setup
from charpipe.training.state import State
from charpipe.training.threads import threads_for_updates
from charpipe.training.update import build_update

CHARACTERS = "\n !$&',-.3:;?" + "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + "abcdefghijklmnopqrstuvwxyz"
SHAPES = (
    "1x64x50x50",
    "1x128x50x50",
    "2x128x50x50",
    "1x256x32x64",
    "2x256x50x50",
    "1x512x32x64",
    "2x512x32x64",
)
SHAPES += ("2x512x100x100", "1x768x32x64", "1x1024x32x64", "2x1024x32x64", "3x1024x32x64")
LAYERS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
SIDES = ("charpipe", "plain float32", "plain bfloat16")
GATES = {"lstm": 4, "gru": 3, "rnn": 1}


class PyTorchModel(nn.Module):
    """A language model as one writes it."""

    def __init__(self, arch: str, layers: int, size: int) -> None:
        super().__init__()
        count = len(CHARACTERS)
        self.embedding = nn.Embedding(count, count)
        self.layers = LAYERS[arch](count, size, layers)
        self.head = nn.Linear(size, count)

    def forward(self, ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        outputs, state = self.layers(self.embedding(ids), state)
        return self.head(outputs), state


def plain_update(
    arch: str, shape: tuple[int, ...], device: torch.device, autocast: bool
) -> Callable[[], None]:
    layers, size, batch, window = shape
    network = PyTorchModel(arch, layers, size).to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    ids = torch.randint(len(CHARACTERS), (window + 1, batch), device=device)
    state: list[Any] = [None]

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
            logits, after = network(ids[:-1], state[0])
        loss = functional.cross_entropy(logits.float().flatten(0, 1), ids[1:].flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        state[0] = tuple(each.detach() for each in after) if isinstance(after, tuple) else after.detach()

    return step


def our_training(
    arch: str, shape: tuple[int, ...], device: str, precision: str, engine: str
) -> tuple[Setup, State]:
    layers, size, batch, window = shape
    model = our_model(arch, layers, size)
    tokens = np.random.default_rng(0).integers(len(CHARACTERS), size=batch * window * 8 + 1).astype(np.uint8)
    settings = TrainConfig(
        batch_size=batch, window=window, steps=10**6, device=device, precision=precision, engine=engine
    )
    return initialize(model, tokens, settings)


def our_model(arch: str, layers: int, size: int) -> Model:
    registry = Registry()
    architecture = registry.architecture(arch)
    config = architecture.config(hidden_size=size, layers=layers, dropout=0.0, recurrent_dropout=0.0)
    count = len(CHARACTERS)
    tokenizer = registry.all("tokenizer")["char"]
    vocabulary = resolve(tokenizer.learn)(dict.fromkeys(CHARACTERS, 1), tokenizer.config())
    return build_model(architecture, config, vocabulary, count)


def our_update(setup: Setup, state: State) -> Callable[[], None]:
    update = build_update(setup, state)

    def step() -> None:
        with threads_for_updates(setup):  # as `train` has it
            update(state.step, 1e-3)
        state.step += 1

    return step


def timed(step: Callable[[], None], device: torch.device, count: int) -> float:
    """Seconds of one step, the mean of `count`."""
    began = time.perf_counter()
    for _ in range(count):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - began) / count


def in_turns(
    sides: dict[str, Callable[[], None]], device: torch.device, rounds: int
) -> dict[str, list[float]]:
    first = {name: timed(step, device, 1) for name, step in sides.items()}
    steady = {name: timed(step, device, 1) for name, step in sides.items()}
    count = max(1, int(0.15 / min(steady.values())))
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, step in sides.items():
            found[name].append(timed(step, device, count))
    return found | {"first": list(first.values())}


def unavoidable(arch: str, shape: tuple[int, ...]) -> float:
    """Floating point operations of the products in an update: recurrent ones in every layer, input ones above the
    first (whose input is a row look-up), the head; forward, and twice that backward."""
    layers, size, batch, window = shape
    recurrent = GATES[arch] * size * size
    weights = layers * recurrent + (layers - 1) * recurrent + size * len(CHARACTERS)
    return 3 * 2 * weights * batch * window


class Peak:
    """The kernel `peak(turns, out)`: nothing but FMAs in registers."""

    ARGUMENTS = 2
    CHAINS = 24
    """Independent sums, so that no FMA waits for another; half as many with 16 registers."""

    def __init__(self, processor: Processor, dtype: DType) -> None:
        self.builder, self.dtype = KernelBuilder(processor, self.ARGUMENTS), dtype
        self.chains = self.CHAINS if processor.registers >= 32 else self.CHAINS // 2

    def llvm_ir(self) -> str:
        """The kernel's LLVM IR."""
        builder, (turns, address) = self.builder, self.builder.arguments
        pointer = builder.pointer(address)
        factor = builder.load_word_broadcast(pointer)

        def turn(_: Int, *sums: Vector) -> list[Vector]:
            return [builder.multiply_add(self.dtype, total, factor, factor) for total in sums]

        start = [builder.load(pointer) for _ in range(self.chains)]
        found = builder.loop(turns, turn, start)
        for one in found[1:]:
            found[0] = found[0] + one
        builder.store(pointer, found[0])
        return builder.finish()


def peak(dtype: torch.dtype) -> float:
    """Operations a second that all cores together do where nothing is read or written: what no program exceeds."""
    here = this_processor()
    if here is None or (dtype == torch.bfloat16 and not here.bfloat16):
        return 0.0
    word = BFLOAT16 if dtype == torch.bfloat16 else FLOAT32
    kernel, threads, turns = compile_kernel(here, Peak, word), torch.get_num_threads(), 2_000_000
    rooms = [torch.zeros(64) for _ in range(threads)]
    operations = 2 * word.per_word * here.width * Peak(here, word).chains * turns * threads
    work = [partial(kernel, turns, room.data_ptr()) for room in rooms]
    return operations / min(timed(lambda: run_parallel(work), torch.device("cpu"), 1) for _ in range(5))


def ceiling(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second: of a large product, or on a CPU of products in registers, whichever is more."""
    side = 8192 if device.type == "cuda" else 2048
    a = torch.randn(side, side, device=device).to(dtype)
    large = 2 * side**3 / min(timed(lambda: torch.mm(a, a), device, 3) for _ in range(4))
    return max(large, peak(dtype)) if device.type == "cpu" else large


def measure(arch: str, shape: tuple[int, ...], device: torch.device, arguments: Any) -> dict[str, Any]:
    setup, state = our_training(arch, shape, str(device), arguments.precision, arguments.engine)
    precision = setup.precision
    sides = {"charpipe": our_update(setup, state), "plain float32": plain_update(arch, shape, device, False)}
    if choose_precision("auto", device) == "bfloat16":
        sides["plain bfloat16"] = plain_update(arch, shape, device, True)
    times = in_turns(sides, device, arguments.rounds)
    first = times.pop("first")[0]
    tokens = shape[2] * shape[3]
    best = {name: min(found) for name, found in times.items()}
    middle = {name: median(found) for name, found in times.items()}
    rival = min((name for name in best if name != "charpipe"), key=best.__getitem__)
    dtype = getattr(torch, precision)
    return {
        "arch": arch,
        "shape": "x".join(map(str, shape)),
        "engine": setup.engine,
        "precision": precision,
        "chars_per_second": {name: round(tokens / seconds) for name, seconds in best.items()},
        "ratio": round(best[rival] / best["charpipe"], 2),
        "ratio_of_medians": round(
            min(middle[name] for name in middle if name != "charpipe") / middle["charpipe"], 2
        ),
        "rival": rival,
        "roofline": round(unavoidable(arch, shape) / ceiling(device, dtype) / best["charpipe"], 2),
        "first_step_seconds": round(first, 2),
    }


def measured_apart(arch: str, text: str) -> dict[str, Any]:
    """`measure` in a process of its own, so that no side inherits what another shape left behind, and with nothing
    compiled yet."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, __file__, *sys.argv[1:], "--one", arch, text],
            env={**os.environ, "NUMBA_CACHE_DIR": folder},
            stdout=subprocess.PIPE,
            check=True,
        )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def around(arguments: Any) -> dict[str, float]:
    """The share of a training that is not spent in updates: with records, samples and checkpoints, and without."""
    registry = Registry()
    tokens = np.random.default_rng(0).integers(len(CHARACTERS), size=400_000).astype(np.uint8)
    model = our_model("lstm", 1, 512)
    encoding = resolve(registry.all("tokenizer")["char"].load)(model.vocabulary)
    settings = TrainConfig(steps=arguments.steps, keep_checkpoints=1)
    setup, state = initialize(our_model("lstm", 1, 512), tokens, settings)
    step = our_update(setup, state)
    timed(step, setup.device, 5)
    with tempfile.TemporaryDirectory() as folder:
        info = RunInfo(
            name="run", created="", action="", corpus="", architecture="lstm", architecture_config={},
            vocabulary_size=len(CHARACTERS), inputs={},
        )  # fmt: skip
        run = Run.create(Path(folder) / "run", info)
        recorder, updates, shares = Recorder(run), [], []
        for _ in range(arguments.rounds):
            updates.append(timed(step, setup.device, arguments.steps))
            began = time.perf_counter()
            for event in train(
                our_model("lstm", 1, 512), tokens, settings, checkpoints=run.checkpoints, encoding=encoding
            ):
                recorder(event)
            shares.append((time.perf_counter() - began) / arguments.steps)
    return {
        "update_ms": min(updates) * 1e3,
        "training_ms": min(shares) * 1e3,
        "share": 1 - min(updates) / min(shares),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--arch", nargs="*", default=list(LAYERS), choices=list(LAYERS))
    parser.add_argument("--shapes", nargs="*", default=SHAPES, help="layers x units x batch x window")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2000, help="of --around")
    parser.add_argument("--around", action="store_true")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--one", nargs=2, metavar=("CELL", "SHAPE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    if arguments.one:
        arch, text = arguments.one
        print(json.dumps(measure(arch, tuple(map(int, text.split("x"))), device, arguments)))
        return
    where = {
        "date": date.today().isoformat(),
        "device": torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else platform.processor() or "cpu",
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
        "isa": os.environ.get("ONEDNN_MAX_CPU_ISA", torch.backends.cpu.get_cpu_capability()),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    print(json.dumps(where))
    if arguments.around:
        found: Any = around(arguments)
        print(
            "update {update_ms:.2f} ms, training {training_ms:.2f} ms a step, share {share:.1%}".format(
                **found
            )
        )
    else:
        columns = (
            "cell",
            "layers x units, batch, window",
            *SIDES,
            "ratio",
            "of medians",
            "roofline",
            "first step",
        )
        print(f"| {' | '.join(columns)} |\n| --- | --- |{' ---: |' * (len(columns) - 2)}")
        found = []
        for arch in arguments.arch:
            for text in arguments.shapes:
                row = measured_apart(arch, text)
                found.append(row)
                speeds = row["chars_per_second"]
                cells = [f"{speeds[name] / 1e3:.1f} k" if name in speeds else "" for name in SIDES]
                layers, size, batch, window = text.split("x")
                print(
                    f"| {arch} | {layers}x{size}, {batch}, {window} | {' | '.join(cells)} | {row['ratio']:.2f} | "
                    f"{row['ratio_of_medians']:.2f} | {row['roofline']:.0%} | {row['first_step_seconds']:.1f} s |",
                    flush=True,
                )
    if arguments.json:
        arguments.json.write_text(json.dumps({"where": where, "found": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
