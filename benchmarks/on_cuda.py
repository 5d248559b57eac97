"""The engines on a GPU, in 8 minutes at most: first whether they are right, then how fast they are.

    python benchmarks/on_cuda.py                            # writes benchmarks/results/DATE-cuda.md and .json
    python benchmarks/on_cuda.py --check-only               # right or not, without timing
    python benchmarks/on_cuda.py --check-only --device cpu  # the same checks without a GPU, to try this script

Each check makes a few updates by charpipe and by a plain PyTorch loop from the same weights on the same characters,
and compares all losses and the first gradients: in float32, in bfloat16 and, where cuDNN has a persistent kernel, in
float16. Then the plain loop, charpipe's engine `plain` and `cuda-graphs` take turns. The cells are PyTorch's three and
a minimal gated unit, defined here as a plugin would.

Every part is a process of its own with a limit of time, so that one that hangs takes no other with it; what was left
out is said. Exit code 1 if a check failed, or if there is no GPU.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, ClassVar

import torch
from equality import UPDATES, check, said
from plain_loop import Shape
from training import machine
from updates import found_architecture, in_turns, our_training, our_update, plain_update

from charpipe.models.precision import choose_precision
from charpipe.plugin import BOTH, INPUT, Architecture, Cell, RecurrentConfig, sigmoid, tanh

SECONDS = 450.0
"""For all parts together, the start of their processes included."""
CHECK, TIMING = "check", "timing"
WEIGHTS = {CHECK: 1.5, TIMING: 2.5}
"""How a part's limit compares with another's. Time that a part leaves goes to those after it."""
SHAPES = ("1x128x32x64", "1x512x32x64", "3x512x32x64", "2x1024x32x64")
ROUNDS = 3


class MinimalGatedUnit(Cell):
    """Zhou et al. 2016, without the gate on the candidate's recurrent product."""

    gates: ClassVar = {"update": BOTH, "candidate": INPUT}
    state = ("hidden",)

    def step(self, gates: Any, state: Any) -> dict[str, Any]:
        z = sigmoid(gates.update)
        return {"hidden": (1 - z) * state.hidden + z * tanh(gates.candidate)}


PLUGIN = Architecture("minimal-gated", "minimal gated unit", RecurrentConfig, cell=MinimalGatedUnit)
ARCHITECTURES = ("lstm", "gru", "rnn", PLUGIN.name)


def architecture_of(name: str) -> Architecture:
    """One of the four."""
    return PLUGIN if name == PLUGIN.name else found_architecture(name)


def checks_of(name: str, device: torch.device) -> list[tuple[str, str]]:
    """The engines and precisions to check. float16 is what cuda-graphs takes by itself where cuDNN has a kernel. On a
    CPU without bfloat16 PyTorch's layers may not run in it, while the operations of a cell's step do."""
    cuda = device.type == "cuda"
    low = cuda or name == PLUGIN.name or choose_precision("auto", device) == "bfloat16"
    precisions = ("float32", "bfloat16") if low else ("float32",)
    found = [(engine, precision) for engine in ("plain", "cuda-graphs") for precision in precisions]
    if cuda and name in ("lstm", "rnn"):
        found.append(("cuda-graphs", "float16"))
    return found


# --- timing ---


def sides_of(
    name: str, shape: Shape, device: torch.device, row: dict[str, Any]
) -> dict[str, Callable[[], object]]:
    """What is timed. The row gets the precision of each of charpipe's engines, and what could not be timed."""
    architecture = architecture_of(name)
    sides: dict[str, Callable[[], object]] = {
        "plain float32": plain_update(architecture, shape, device, False)
    }
    if choose_precision("auto", device) == "bfloat16":
        sides["plain bfloat16"] = plain_update(architecture, shape, device, True)
    for engine in ("plain", "cuda-graphs"):
        try:
            setup, state = our_training(architecture, shape, str(device), "auto", engine)
            update = our_update(setup, state)
            update()  # captures
        except Exception as error:
            row["failed"][f"charpipe {engine}"] = said(error)
        else:
            row["precision"][engine] = setup.precision
            sides[f"charpipe {engine}"] = update
    return sides


def timing(name: str, text: str, device: torch.device) -> dict[str, Any]:
    """A row of the table of speeds."""
    shape = tuple(map(int, text.split("x")))
    row: dict[str, Any] = {"arch": name, "shape": text, "precision": {}, "failed": {}}
    times = in_turns(sides_of(name, shape, device, row), device, ROUNDS)
    times.pop("first")
    characters = shape[2] * shape[3]
    rival = min(min(found) for side, found in times.items() if side.startswith("plain"))
    row["chars_per_second"] = {side: round(characters / min(found)) for side, found in times.items()}
    row["by_medians"] = {side: round(characters / median(found)) for side, found in times.items()}
    row["ratio"] = {
        side: round(rival / min(found), 2) for side, found in times.items() if side.startswith("charpipe")
    }
    return row


# --- parts, each in a process of its own ---


@dataclass(frozen=True)
class Part:
    """The checks or the timing of one architecture."""

    kind: str
    arch: str

    def rows(self, device: torch.device, shapes: list[str]) -> Iterator[dict[str, Any]]:
        """Its results, one after another."""
        if self.kind == CHECK:
            for engine, precision in checks_of(self.arch, device):
                yield check(architecture_of(self.arch), engine, precision, device)
        else:
            for text in shapes:
                yield timing(self.arch, text, device)

    def names(self, device: torch.device, shapes: list[str]) -> list[str]:
        """What its results are called, in order."""
        if self.kind == TIMING:
            return [f"timing of {self.arch} {text}" for text in shapes]
        return [f"check of {self.arch}, {' in '.join(each)}" for each in checks_of(self.arch, device)]


def run_apart(part: Part, arguments: Any, seconds: float) -> tuple[list[dict[str, Any]], str]:
    """A part's rows from a process that ends after so many seconds, and why there are no more."""
    given = ["--device", arguments.device, "--shapes", *arguments.shapes]
    command = [sys.executable, __file__, *given, "--part", part.kind, part.arch]
    try:
        done = subprocess.run(command, capture_output=True, timeout=seconds)
        output, reason = done.stdout, (done.stderr.decode().strip().splitlines() or ["it ended early"])[-1]
    except subprocess.TimeoutExpired as error:
        output, reason = error.stdout or b"", f"it took more than its {seconds:.0f} s"
    lines = output.decode().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")], reason


def run_parts(parts: list[Part], arguments: Any, device: torch.device) -> dict[str, list[Any]]:
    """The rows of all parts by kind, and what was `left out`, with the reason."""
    found: dict[str, list[Any]] = {CHECK: [], TIMING: [], "left out": []}
    ends = time.monotonic() + arguments.seconds
    for number, part in enumerate(parts):
        share = WEIGHTS[part.kind] / sum(WEIGHTS[each.kind] for each in parts[number:])
        seconds = (ends - time.monotonic()) * share
        rows, reason = run_apart(part, arguments, max(seconds, 0.0))
        found[part.kind] += rows
        missing = part.names(device, arguments.shapes)[len(rows) :]
        left_out = [f"{name}: {reason}" for name in missing]
        found["left out"] += left_out
        print("\n".join([*map(json.dumps, rows), *(f"left out: {each}" for each in left_out)]), flush=True)
    return found


# --- the result file ---


def report(where: dict[str, Any], found: dict[str, list[Any]]) -> str:
    """The results as Markdown."""
    lines = [f"# Engines on {where['device']}, {where['date']}", ""]
    versions = (
        f"torch {where['torch']}, CUDA {where['cuda']}, cuDNN {where['cudnn']}, Python {where['python']}"
    )
    lines += [f"{versions}. By `python benchmarks/on_cuda.py`.", ""]
    lines += ["## Equal to a plain loop", "", "| cell | engine | precision | losses | gradients | equal |"]
    lines += ["| --- | --- | --- | ---: | ---: | --- |"]
    lines += [line_of_check(row) for row in found[CHECK]]
    lines += [
        "",
        f"The largest relative difference of {UPDATES} updates' losses, and of the first gradients.",
        "",
    ]
    if found[TIMING]:
        lines += speeds(found[TIMING])
    if found["left out"]:
        lines += ["## Left out", "", *(f"* {each}" for each in found["left out"]), ""]
    return "\n".join(lines)


def line_of_check(row: dict[str, Any]) -> str:
    """A row of the table of checks."""
    figures = (
        [f"{row[each]:.1e}" for each in ("losses", "gradients")] if "losses" in row else [row["failed"], ""]
    )
    cells = [row["arch"], row["engine"], row["precision"], *figures, "yes" if row["equal"] else "**no**"]
    return f"| {' | '.join(cells)} |"


def speeds(rows: list[dict[str, Any]]) -> list[str]:
    """The table of speeds."""
    sides = ("plain float32", "plain bfloat16", "charpipe plain", "charpipe cuda-graphs")
    lines = ["## Thousand characters a second", ""]
    lines += [f"| cell | layers x units, streams, window | {' | '.join(sides)} | cuda-graphs / plain loop |"]
    lines += ["| --- | --- | ---: | ---: | ---: | ---: | ---: |"]
    for row in rows:
        layers, size, streams, window = row["shape"].split("x")
        cells = [
            f"{row['chars_per_second'][side] / 1e3:.1f}" if side in row["chars_per_second"] else ""
            for side in sides
        ]
        graphs = "charpipe cuda-graphs"
        cells.append(
            f"{row['ratio'][graphs]:.2f}" if graphs in row["ratio"] else row["failed"].get(graphs, "")
        )
        lines.append(f"| {row['arch']} | {layers}x{size}, {streams}, {window} | {' | '.join(cells)} |")
    lines += [
        "",
        "Each side's best of three rounds in turns; the ratio is to the better of the plain loops.",
        "",
    ]
    return lines


def write(output: Path, where: dict[str, Any], found: dict[str, list[Any]]) -> None:
    """The report, and the same figures as JSON beside it."""
    output.write_text(report(where, found))
    output.with_suffix(".json").write_text(json.dumps({"where": where, **found}, indent=1) + "\n")
    print(f"written to {output} and {output.with_suffix('.json')}")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N, or with --check-only cpu")
    parser.add_argument("--check-only", action="store_true")
    parser.add_argument("--arch", nargs="*", default=ARCHITECTURES, choices=ARCHITECTURES)
    parser.add_argument("--shapes", nargs="*", default=SHAPES, help="layers x units x streams x window")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for all of it")
    parser.add_argument("--output", type=Path, help="write the results here, and as JSON beside it")
    parser.add_argument("--part", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    arguments = parsed()
    device = torch.device(arguments.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("There is no CUDA device here; add --check-only --device cpu to try the checks on the CPU.")
    if device.type != "cuda" and not arguments.check_only and not arguments.part:
        sys.exit("Only the checks can run without CUDA: add --check-only.")
    if arguments.part:
        for row in Part(*arguments.part).rows(device, list(arguments.shapes)):
            print(json.dumps(row), flush=True)
        return
    kinds = (CHECK,) if arguments.check_only else (CHECK, TIMING)
    parts = [Part(kind, arch) for kind in kinds for arch in arguments.arch]
    where = machine(device) | {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    found = run_parts(parts, arguments, device)
    output = arguments.output
    if output is None and not arguments.check_only:
        output = Path(__file__).parent / "results" / f"{where['date']}-cuda.md"
    if output is not None:
        write(output, where, found)
    unequal = [row for row in found[CHECK] if not row["equal"]]
    missing = sum(name.startswith(CHECK) for name in found["left out"])
    print(f"{len(found[CHECK])} checks made, {len(unequal)} failed, {missing} left out")
    sys.exit(1 if unequal or missing else 0)


if __name__ == "__main__":
    main()
