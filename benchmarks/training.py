"""Training speed: charpipe's update against a plain PyTorch loop, for any architecture, in one run.

    python benchmarks/training.py                                     # three cells, a dozen shapes
    python benchmarks/training.py --arch lstm --shapes 2x512x100x100  # layers x units x streams x window
    python benchmarks/training.py --arch my-cell --plugins FOLDER     # or where a project file names its folder
    ONEDNN_MAX_CPU_ISA=AVX2 python benchmarks/training.py             # as on an ordinary laptop
    python benchmarks/training.py --device cuda                       # and again with --engine cuda-graphs
    python benchmarks/training.py --around                            # what events, records and checkpoints cost

The plain side is what one writes first: an embedding, the layers, the head, cross entropy, clipping, fused AdamW,
with carried state; in float32 and, where the device multiplies it natively, under bfloat16 autocast. The layers are
PyTorch's (`nn.LSTM`, `nn.GRU`, `nn.RNN`) or, of a cell that PyTorch does not have, a loop over steps as its author
would write it: two linear layers and the cell's equations. Where a C++ compiler is present that loop goes through
`torch.compile` as well: its step, or with `--compile window` the unrolled loop, which takes many minutes. The ratio
is to the better of the loops that are not compiled.

All sides take turns, equally long, and each shows its best round: other work on the machine only slows one down.
Each shape has a process of its own, in which nothing is compiled yet: the first step counts that. The roofline is
the share of the time that is spent if the products that no program can leave out go as fast as this machine's
registers multiply.

**Time per gate** is an update's seconds divided by the number of the gates' products: each gate of each layer
counts once for the product with the inputs and once for that with the previous output, as far as it has them (GRU:
6, LSTM: 8, a minimal gated unit: 3). The first layer's products with its inputs count too, although one-hot inputs
make them look-ups: each has a gradient like any other. A cell that PyTorch does not have is trained beside
charpipe's GRU of the same shape and precision, in turns with it; the last column is its time per gate over the
GRU's.
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
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from plain_loop import CHARACTERS, Shape, cell_of, no_compiler
from roofline import ceiling, gate_products, unavoidable
from updates import in_turns, our_model, our_training, our_update, plain_update, timed

from charpipe.cli.environment import open_registry
from charpipe.config.settings.training import TrainConfig
from charpipe.errors import CharpipeError
from charpipe.kernels.jit.processor import this_processor
from charpipe.models.precision import choose_device, choose_precision
from charpipe.plugin import resolve
from charpipe.plugins.registry import Registry
from charpipe.runs import Recorder, Run, RunInfo
from charpipe.training import train
from charpipe.training.initialization import initialize

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
ARCHITECTURES = ("lstm", "gru", "rnn")
SIDES = ("charpipe", "plain float32", "plain bfloat16")
GRU = "charpipe's gru"


def is_new(arch: str, registry: Registry) -> bool:
    """Whether an architecture is a cell that PyTorch has no layer for."""
    cell = cell_of(registry.architecture(arch))
    return cell is not None and not cell.torch_layer


def sides_of(
    arch: str, shape: Shape, device: torch.device, arguments: Any, registry: Registry
) -> tuple[dict[str, Callable[[], object]], str, str]:
    """The updates to compare, by name, and charpipe's engine and precision."""

    def ours(name: str, precision: str, engine: str) -> tuple[Callable[[], None], str, str]:
        setup, state = our_training(name, shape, str(device), precision, engine, registry)
        return our_update(setup, state), setup.engine, setup.precision

    update, engine, precision = ours(arch, arguments.precision, arguments.engine)
    sides: dict[str, Callable[[], object]] = {"charpipe": update}
    low = [False, True] if choose_precision("auto", device) == "bfloat16" else [False]
    for autocast in low:
        name = "bfloat16" if autocast else "float32"
        sides[f"plain {name}"] = plain_update(arch, shape, device, autocast, registry)
        if is_new(arch, registry) and arguments.compile != "no" and no_compiler() is None:
            sides[f"compiled {name}"] = plain_update(
                arch, shape, device, autocast, registry, compiled=arguments.compile
            )
    if is_new(arch, registry):
        sides[GRU] = ours("gru", precision, arguments.engine)[0]
    return sides, engine, precision


def measure(
    arch: str, shape: Shape, device: torch.device, arguments: Any, registry: Registry
) -> dict[str, Any]:
    """A row of the table: an architecture and a shape."""
    sides, engine, precision = sides_of(arch, shape, device, arguments, registry)
    times = in_turns(sides, device, arguments.rounds)
    first = times.pop("first")[0]
    tokens = shape[2] * shape[3]
    best = {name: min(found) for name, found in times.items()}
    middle = {name: median(found) for name, found in times.items()}
    plain = [name for name in best if name.startswith("plain")]
    rival = min(plain, key=best.__getitem__)
    return {
        "arch": arch,
        "shape": "x".join(map(str, shape)),
        "engine": engine,
        "precision": precision,
        "chars_per_second": {name: round(tokens / seconds) for name, seconds in best.items()},
        "ratio": round(best[rival] / best["charpipe"], 2),
        "ratio_of_medians": round(min(middle[name] for name in plain) / middle["charpipe"], 2),
        "rival": rival,
        "first_step_seconds": round(first, 2),
        **of_cell(arch, shape, best, middle, ceiling(device, getattr(torch, precision)), registry),
    }


def of_cell(
    arch: str,
    shape: Shape,
    best: dict[str, float],
    middle: dict[str, float],
    operations: float,
    registry: Registry,
) -> dict[str, Any]:
    """The figures that need a cell's equations: roofline and time per gate. `operations` a second are the ceiling."""
    cell = cell_of(registry.architecture(arch))
    if cell is None:
        return {"roofline": None}
    found = {
        "roofline": round(unavoidable(cell, shape) / operations / best["charpipe"], 2),
        "microseconds_per_gate": round(best["charpipe"] / products(arch, shape, registry) * 1e6, 2),
    }
    if GRU not in best:
        return found
    gru = products("gru", shape, registry) / products(arch, shape, registry)
    return found | {
        "per_gate_of_gru": round(gru * best["charpipe"] / best[GRU], 2),
        "per_gate_of_gru_by_medians": round(gru * middle["charpipe"] / middle[GRU], 2),
    }


def products(arch: str, shape: Shape, registry: Registry) -> int:
    """The number of the gates' products in a network."""
    cell = cell_of(registry.architecture(arch))
    assert cell is not None
    return shape[0] * sum(gate_products(cell))


def measured_apart(arch: str, text: str) -> dict[str, Any]:
    """`measure` in a process of its own, so that no side inherits what another shape left behind, and with nothing
    compiled yet."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, __file__, *sys.argv[1:], "--one", arch, text],
            env={**os.environ, "NUMBA_CACHE_DIR": folder},
            stdout=subprocess.PIPE,
        )
    if done.returncode:
        sys.exit(f"{arch} at {text} could not be measured; its own message is above")
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


def machine(device: torch.device) -> dict[str, Any]:
    """Where and when something is measured."""
    cuda = device.type == "cuda"
    return {
        "date": date.today().isoformat(),
        "device": torch.cuda.get_device_name(device) if cuda else platform.processor() or "cpu",
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
        "isa": os.environ.get("ONEDNN_MAX_CPU_ISA", torch.backends.cpu.get_cpu_capability()),
        "amx": "none" if (here := this_processor()) is None else here.amx,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def head(new: bool) -> str:
    """The table's head; `new` adds the columns of cells that PyTorch does not have."""
    columns = [
        "cell",
        "layers x units, streams, window",
        *SIDES,
        "ratio",
        "of medians",
        "roofline",
        "first step",
    ]
    columns += ["torch.compile", GRU, "time per gate / GRU's"] if new else []
    return f"| {' | '.join(columns)} |\n| --- | --- |{' ---: |' * (len(columns) - 2)}"


def line(row: dict[str, Any], new: bool) -> str:
    """A row as the table shows it."""
    speeds = row["chars_per_second"]
    layers, size, streams, window = row["shape"].split("x")

    def thousands(names: Sequence[str]) -> str:
        known = [speeds[name] for name in names if name in speeds]
        return f"{max(known) / 1e3:.1f} k" if known else ""

    cells = [row["arch"], f"{layers}x{size}, {streams}, {window}", *(thousands([name]) for name in SIDES)]
    cells += [f"{row['ratio']:.2f}", f"{row['ratio_of_medians']:.2f}"]
    cells.append("" if row["roofline"] is None else f"{row['roofline']:.0%}")
    cells.append(f"{row['first_step_seconds']:.1f} s")
    if new:
        cells += [thousands(["compiled float32", "compiled bfloat16"]), thousands([GRU])]
        cells.append(f"{row['per_gate_of_gru']:.2f}" if "per_gate_of_gru" in row else "")
    return f"| {' | '.join(cells)} |"


def table(arguments: Any, registry: Registry) -> list[dict[str, Any]]:
    """Measure and print a row for each architecture and shape."""
    new = any(is_new(arch, registry) for arch in arguments.arch)
    if new and arguments.compile != "no" and (reason := no_compiler()):
        print(f"{reason[0].upper()}{reason[1:]}.")
    print(head(new))
    found = []
    for arch in arguments.arch:
        for text in arguments.shapes:
            found.append(measured_apart(arch, text))
            print(line(found[-1], new), flush=True)
    return found


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--arch", nargs="*", default=list(ARCHITECTURES), help="installed, or of --plugins or the project"
    )
    parser.add_argument(
        "--plugins", nargs="*", type=Path, help="folders of plugins, instead of those of the project here"
    )
    parser.add_argument("--shapes", nargs="*", default=SHAPES, help="layers x units x streams x window")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--compile", default="step", choices=["step", "window", "no"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2000, help="of --around")
    parser.add_argument("--around", action="store_true")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--one", nargs=2, metavar=("CELL", "SHAPE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    for folder in arguments.plugins or ():
        if not folder.is_dir():
            parser.error(f"there is no folder {folder}")
    return arguments


def main() -> None:
    arguments = parsed()
    registry = Registry(arguments.plugins) if arguments.plugins else open_registry()
    try:
        device = choose_device(arguments.device)
        for arch in arguments.arch:
            cell_of(registry.architecture(arch))
    except CharpipeError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    if arguments.one:
        arch, text = arguments.one
        print(json.dumps(measure(arch, tuple(map(int, text.split("x"))), device, arguments, registry)))
        return
    where = machine(device)
    print(json.dumps(where))
    found: Any
    if arguments.around:
        found = around(arguments)
        print(
            "update {update_ms:.2f} ms, training {training_ms:.2f} ms a step, share {share:.1%}".format(
                **found
            )
        )
    else:
        found = table(arguments, registry)
    if arguments.json:
        arguments.json.write_text(json.dumps({"where": where, "found": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
