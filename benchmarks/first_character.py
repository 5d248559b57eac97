"""From the command to the first character: `charpipe sample` of models with random weights, on the CPU.

    python benchmarks/first_character.py
    python benchmarks/first_character.py --against /path/to/another/bin/charpipe --rounds 9

Times the process from its start to the first byte on its standard output, and says how much processor time it and its
threads had used by then (Linux; the better figure where other programs run). `--against` another charpipe, for example
one of an earlier release, times both in turns on the same files. Medians of the rounds, after one that is not counted.
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
from datetime import date
from pathlib import Path
from statistics import median

from charpipe.models import build_model, save_model
from charpipe.plugin import resolve
from charpipe.plugins.registry import Registry
from charpipe.text.vocabulary import SCHEMA

ARCHITECTURES = ("rnn", "lstm", "gru", "mgu")
"""Those of the essay, and a cell of a plugin that PyTorch has no layer for."""
CHARACTERS = "\n !$&',-.3:;?" + "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + "abcdefghijklmnopqrstuvwxyz"


def save(folder: Path, name: str, layers: int, units: int) -> None:
    """A new model, in a folder that `charpipe sample` reads."""
    registry = Registry()
    architecture, tokenizer = registry.architecture(name), registry.tokenizer("char")
    learnt = resolve(tokenizer.learn)(dict.fromkeys(sorted(CHARACTERS), 5), tokenizer.config())
    vocabulary = {"schema": SCHEMA, "tokenizer": "char", **learnt}
    config = architecture.config.model_validate({"hidden_size": units, "layers": layers})
    size = resolve(tokenizer.load)(vocabulary).size
    folder.mkdir()
    save_model(build_model(architecture, config, vocabulary, size), folder)


def first_byte(command: list[str], folder: Path) -> tuple[float, float]:
    """Seconds until the first byte of output, and processor seconds until then."""
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        if not process.stdout.read(1):
            raise SystemExit(f"{' '.join(command)} printed nothing")
        seconds = time.perf_counter() - began
        used = _processor_seconds(process.pid)
        process.stdout.read()
    return seconds, used


def _processor_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--arch", nargs="+", default=ARCHITECTURES)
    parser.add_argument("--size", default="2x512", help="layers x units")
    parser.add_argument("--length", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--against", type=Path, help="another charpipe command")
    given = parser.parse_args()
    layers, units = map(int, given.size.split("x"))
    commands = {"this": [sys.executable, "-m", "charpipe"]}
    if given.against is not None:
        commands = {"other": [str(given.against.absolute())], **commands}
    print(
        f"{date.today()}, {platform.machine()}, {os.cpu_count()} cores, {given.size}, {given.rounds} rounds"
    )
    print(
        "| architecture | charpipe | seconds | processor seconds | all rounds |\n| --- | --- | --- | --- | --- |"
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in given.arch:
            save(folder / name, name, layers, units)
            words = ["sample", f"./{name}", "--length", str(given.length), "--device", "cpu"]
            found: dict[str, list[tuple[float, float]]] = {which: [] for which in commands}
            for _ in range(given.rounds + 1):
                for which, command in commands.items():
                    found[which].append(first_byte([*command, *words], folder))
            for which, rounds in found.items():
                seconds, used = zip(*rounds[1:], strict=True)
                every = json.dumps([round(each, 2) for each in seconds])
                print(
                    f"| {name} | {which} | {median(seconds):.2f} | {median(used):.2f} | {every} |", flush=True
                )


if __name__ == "__main__":
    main()
