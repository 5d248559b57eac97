"""Lives with charpipe: scheduled runs over folders that change, killed and starved at random; then an audit.

python tests/soak/drive.py --runs 400 --folder FOLDER --report tests/soak/report.md

The same seed makes the same changes and chooses the same faults; when they strike depends on the machine. What is found
is `audit.py`'s to say, which knows nothing of charpipe.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import audit
import faults
import psutil
from world import World

PROJECT = """
[corpora.{name}]
sources = ["{name}"]
include = ["*.txt"]

[deployments.{name}]
pipeline = "{pipeline}"
corpus = "{name}"
schedule = {{interval = "10s"}}
retries = 1
settings = {{ {settings} }}
"""
SETTINGS = {
    "train.batch_size": 8,
    "train.window": 16,
    "train.device": "cpu",
    "architectures.rnn.hidden_size": 16,
    "sample.length": 60,
}
RETENTION = """
[retention]
keep_runs = 20
keep_days = 0
keep_versions = 8
grace_hours = 0.05
"""
MEASURE_EVERY = 5
CLEAR_EVERY = 25
PATIENCE = 300.0
"""Seconds without any run ending after which something hangs."""


class Serve:
    """`charpipe serve` as a process, and what it says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: queue.Queue[dict[str, Any]] = queue.Queue()
        self.errors = folder / "serve.err"
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        environ = {
            key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "MLFLOW_"))
        }
        environ |= {"OMP_NUM_THREADS": "1"}
        words = [sys.executable, "-m", "charpipe", "serve", "--json", "--limit", "2"]
        with self.errors.open("a") as errors:
            self.process = subprocess.Popen(
                words, cwd=self.folder, env=environ, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                try:
                    self.said.put(json.loads(line))
                except ValueError:
                    self.said.put({"event": "unreadable", "line": line})

    def end(self, number: signal.Signals) -> int:
        """Send a signal; returns the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=400)


class Soak:
    """One soak in `folder`: so many runs, of two deployments that go on side by side."""

    def __init__(self, folder: Path, runs: int, seed: int, pipeline: str, steps: int, share: float) -> None:
        self.folder, self.runs, self.share = folder, runs, share
        self.random = random.Random(seed)
        self.workspace = folder / ".charpipe"
        self.worlds = {
            name: World(folder / name, random.Random(f"{seed} {name}")) for name in ("east", "west")
        }
        settings = SETTINGS | {"train.steps": steps, "train.evaluate_every": max(1, steps // 3)}
        text = ", ".join(f'"{key}" = {json.dumps(value)}' for key, value in settings.items())
        tables = [PROJECT.format(name=name, pipeline=pipeline, settings=text) for name in self.worlds]
        options = f'[pipelines.{pipeline}]\narch = "rnn"\n{RETENTION}'
        (folder / "pipelines.toml").write_text(options + "\n".join(tables))
        self.serve = Serve(folder)
        self.log = (folder / "soak.jsonl").open("a")
        self.ended = 0
        self.due: list[tuple[float, dict[str, Any]]] = []
        self.clearing: list[subprocess.Popen[bytes]] = []

    def note(self, event: str, /, **facts: Any) -> None:
        self.log.write(json.dumps({"soak": event, "at": time.time(), **facts}) + "\n")
        self.log.flush()

    def live(self) -> None:
        """Until so many runs have ended; then a quiet while, in which each deployment runs undisturbed."""
        self.serve.start()
        self._until(self.runs, disturbed=True)
        self.note("quiet")
        self._until(self.ended + len(self.worlds) + 1, disturbed=False)
        code = self.serve.end(signal.SIGTERM)
        self.note("stopped", code=code)

    def _until(self, runs: int, *, disturbed: bool) -> None:
        last = time.monotonic()
        while self.ended < runs:
            try:
                said = self.serve.said.get(timeout=0.1)
            except queue.Empty:
                said = None
            if said is not None:
                self.note("said", **said)
                if said["event"] == "started" and disturbed and self.random.random() < self.share:
                    self._plan(said)
                if said["event"] == "ended":
                    last = time.monotonic()
                    self._after(said)
            self._strike()
            if time.monotonic() - last > PATIENCE:
                raise SystemExit(f"no run has ended for {PATIENCE:.0f} s; see {self.folder}/soak.jsonl")

    def _plan(self, started: dict[str, Any]) -> None:
        fault = {"kind": faults.choose(self.random), "pid": started["pid"], "flow_run": started["id"]}
        fault |= {"deployment": started["deployment"], "size": self.random.choice([0, 20_000, 200_000])}
        fault["seconds"] = self.random.uniform(1, 12)
        self.due.append((time.monotonic() + self.random.uniform(0.2, 9), fault))

    def _strike(self) -> None:
        now = time.monotonic()
        for fault in [fault for moment, fault in self.due if moment <= now]:
            self.note("fault", **fault)
            self._do(fault)
        self.due = [(moment, fault) for moment, fault in self.due if moment > now]

    def _do(self, fault: dict[str, Any]) -> None:
        kind, pid, seconds = fault["kind"], fault["pid"], fault["seconds"]
        match kind:
            case "kill-run":
                faults.kill(pid)
            case "kill-server":
                faults.kill_server(self.workspace)
            case "kill-serve" | "stop-serve":
                number = signal.SIGKILL if kind == "kill-serve" else signal.SIGTERM
                self.note("serve-ended", code=self.serve.end(number), wanted=kind)
                time.sleep(min(seconds, 3))
                self.serve.start()
            case "disk-full":
                faults.fill_disk(pid, fault["size"])
            case "mlflow-locked":
                faults.lock_mlflow(self.workspace, seconds)
            case "source-gone":
                faults.hide(self.folder / fault["deployment"], seconds / 2)
            case "cancel":
                faults.cancel(self.workspace, fault["flow_run"])

    def _after(self, said: dict[str, Any]) -> None:
        self.ended += 1
        world = self.worlds.get(said["deployment"])
        if world is not None and world.folder.is_dir():
            self.note("changed", deployment=said["deployment"], changes=world.change())
        if self.ended % CLEAR_EVERY == 0:
            self._clear()
        if self.ended % MEASURE_EVERY == 0:
            self.note("measured", ended=self.ended, **self._measure())
            print(f"{self.ended:>4} runs", flush=True)

    def _clear(self) -> None:
        """`charpipe gc`, while runs are going."""
        self.clearing = [process for process in self.clearing if process.poll() is None]
        words = [sys.executable, "-m", "charpipe", "gc", "--json"]
        with (self.folder / "gc.log").open("a") as log:
            self.clearing.append(subprocess.Popen(words, cwd=self.folder, stdout=log, stderr=log))
        self.note("gc")

    def _measure(self) -> dict[str, Any]:
        sizes = {room.name: _size(room) for room in self.workspace.iterdir() if room.is_dir()}
        counts = {
            "runs": len(list((self.workspace / "runs").glob("*/run.json"))),
            "objects": len(list((self.workspace / "store" / "objects").glob("*"))),
        }
        return {
            "bytes": sizes,
            "counts": counts,
            "memory": {"serve": self._memory(self.serve), **self._server()},
        }

    @staticmethod
    def _memory(serve: Serve) -> int | None:
        try:
            return None if serve.process is None else psutil.Process(serve.process.pid).memory_info().rss
        except psutil.Error:
            return None

    def _server(self) -> dict[str, int]:
        try:
            pid = json.loads((self.workspace / "prefect" / "server.json").read_text())["pid"]
            return {"server": psutil.Process(pid).memory_info().rss}
        except (OSError, ValueError, KeyError, psutil.Error):
            return {}


def _size(folder: Path) -> int:
    total = 0
    for here, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(here) / name).stat().st_size
            except OSError:
                continue
    return total


def live(
    folder: Path, runs: int, seed: int, pipeline: str = "retrain", steps: int = 40, share: float = 0.25
) -> None:
    """One soak, from an empty folder to a stopped server."""
    folder.mkdir(parents=True, exist_ok=True)
    soak = Soak(folder, runs, seed, pipeline, steps, share)
    try:
        soak.live()
    finally:
        if soak.serve.process is not None and soak.serve.process.poll() is None:
            soak.serve.end(signal.SIGTERM)
        down = [sys.executable, "-m", "charpipe", "down"]
        subprocess.run(down, cwd=folder, check=False, capture_output=True)
        soak.log.close()


def main() -> int:
    """Live through a soak, audit it, write the report; 1 where the audit finds anything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--seed", type=int, default=2015)
    parser.add_argument("--folder", type=Path, required=True, help="an empty folder for it all")
    parser.add_argument("--pipeline", default="retrain")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--share", type=float, default=0.25, help="of the runs, that meet a fault")
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    began = time.time()
    live(options.folder, options.runs, options.seed, options.pipeline, options.steps, options.share)
    report, wrong = audit.report(options.folder, seconds=time.time() - began, seed=options.seed)
    if options.report is not None:
        options.report.write_text(report, encoding="utf-8")
    print(report)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
