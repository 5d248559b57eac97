"""Peak memory of training: charpipe's update and a plain PyTorch loop's, each in a process of its own.

    python benchmarks/memory.py
    python benchmarks/memory.py --arch gru --shapes 3x1024x32x64    # layers x units x batch x window

The largest resident set of the process after three updates, and what it had before the model was made: Python, PyTorch
and charpipe. The sides are those of `training.py`. Where charpipe has no kernels for a shape yet, its process compiles
them, and takes some more: the second run shows what training takes. Other work on the machine changes nothing.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from typing import Any

import torch
from training import ARCHITECTURES, SIDES
from updates import our_training, our_update, plain_update

SHAPES = ("1x512x32x64", "2x512x100x100")
UPDATES = 3


def megabytes() -> float:
    """The most that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts in KiB


def peak(side: str, arch: str, text: str) -> dict[str, float]:
    """Megabytes before and after."""
    shape, before = tuple(map(int, text.split("x"))), megabytes()
    if side == "charpipe":
        step = our_update(*our_training(arch, shape, "cpu", "auto", "auto"))
    else:
        step = plain_update(arch, shape, torch.device("cpu"), side.endswith("bfloat16"))
    for _ in range(UPDATES):
        step()
    return {"before": before, "peak": megabytes()}


def peak_apart(side: str, arch: str, text: str) -> dict[str, Any]:
    """`peak` in a new process."""
    command = [sys.executable, __file__, "--one", side, arch, text]
    found: dict[str, Any] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--arch", default="lstm", choices=ARCHITECTURES)
    parser.add_argument("--shapes", nargs="*", default=SHAPES)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(peak(*chosen.one)))
        return
    print(f"| {chosen.arch} | {' | '.join(SIDES)} | before |\n| --- |{' ---: |' * (len(SIDES) + 1)}")
    for text in chosen.shapes:
        found = [peak_apart(side, chosen.arch, text) for side in SIDES]
        cells = [f"{each['peak']:.0f} MB" for each in found] + [
            f"{max(each['before'] for each in found):.0f} MB"
        ]
        print(f"| {text} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
