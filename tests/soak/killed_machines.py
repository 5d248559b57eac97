"""Machines that share a store, killed and stopped at random while they train and promote; then an audit.

    python tests/soak/killed_machines.py --kills 50 --folder FOLDER

Each machine is a process that is forked once everything is imported. It trains one of the open runs (a run for each
seed), so that machines wait for each other, take over, and find finished runs; then it lets the run challenge the
champion. A killed machine comes back with its workspace or without. The audit reads the shared store only, and compares
with trainings that nobody disturbed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

from charpipe import stages
from charpipe.errors import CharpipeError
from charpipe.events import Event, Notice, Step, TrainingStarted
from charpipe.stages import TrainRequest
from charpipe.store.manifest import read_manifest
from charpipe.training.checkpoints import damage
from run_machines import Machine, digest_of_weights
from sentences import sentences

CORPUS = "mine.txt"
STEPS, INTERVAL = 40, 5
PAUSE = 0.1
"""Seconds that a step takes at least, so that a kill hits training and not only what is around it."""
LEASE = "1s"
MACHINES, OPEN = 3, 2
"""Machines at a time, and runs that are open at a time."""
STOPPED_SECONDS = 3.0
BROKEN = 70
"""Exit code of a machine on an error that is not charpipe's own."""


def work(machine: Machine, seed: int, log: Path, pause: float = PAUSE, store: bool = True) -> int:
    """Train the run of a seed, or what is left of it, and let it challenge the champion; the exit code."""
    with log.open("a", buffering=1) as file:

        def say(**facts: Any) -> None:
            file.write(json.dumps({"at": time.time(), "pid": os.getpid(), "seed": seed, **facts}) + "\n")

        def listen(event: Event) -> None:
            match event:
                case TrainingStarted():
                    say(event="started", run=event.run, step=event.step)
                case Step():
                    time.sleep(pause)
                case Notice():
                    say(event="notice", message=event.message, level=event.level)
                case _:
                    pass

        others = {} if store else {"store__url": None}
        context = machine.context(
            listen,
            train__seed=seed,
            train__steps=STEPS,
            train__evaluate_every=INTERVAL,
            architectures__rnn__hidden_size=8,
            **others,
        )
        try:
            documents = stages.ingest(context, CORPUS)
            vocabulary = stages.learn_vocabulary(context, CORPUS, documents)
            tokens = stages.encode(context, CORPUS, documents, vocabulary)
            trained = stages.train(context, TrainRequest(CORPUS, "rnn"), tokens, vocabulary)
            say(event="finished", run=trained.run, reused=trained.reused)
            if store:
                decided = stages.promote(context, trained, tokens)
                say(event="decided", run=trained.run, promoted=decided.promoted)
        except CharpipeError as error:
            say(event="error", message=str(error))
            return 1
    return 0


def fork(machine: Machine, seed: int, log: Path, **rest: Any) -> int:
    """Let a process of its own `work`; returns its number. An error that no user would see ends it with BROKEN."""
    child = os.fork()
    if child == 0:
        code = BROKEN
        try:
            code = work(machine, seed, log, **rest)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return child


def code_of(status: int) -> int:
    """The exit code of a process that has ended. Raises RuntimeError for one that is broken."""
    code = os.waitstatus_to_exitcode(status)
    if code == BROKEN:
        raise RuntimeError("a machine ended with an error of the program; see above")
    return code


@dataclass
class Soak:
    """One soak in `folder`: `kills` processes are killed, and a third as many are stopped past their lease."""

    folder: Path
    kills: int
    seed: int = 1
    killed: int = 0
    stopped: int = 0
    finished: list[int] = field(default_factory=list)
    running: dict[int, tuple[str, int]] = field(default_factory=dict)
    """By process: its machine, and the seed of its run."""

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.log, self.store = self.folder / "soak.jsonl", self.folder / "store"
        self.opened = OPEN

    def live(self) -> None:
        while self.killed < self.kills or self.running or len(self.finished) < self.opened:
            self._start()
            time.sleep(self.random.uniform(0.2, 2.0))
            self._reap()
            if self.running and self.killed < self.kills:
                self._strike()

    def machine(self, name: str) -> Machine:
        return Machine(self.folder / name, self.store, LEASE)

    def _open_seeds(self) -> list[int]:
        return [seed for seed in range(1, self.opened + 1) if seed not in self.finished]

    def _start(self) -> None:
        busy = {name for name, _ in self.running.values()}
        for name in (f"machine-{number}" for number in range(1, MACHINES + 1)):
            if name in busy or not self._open_seeds():
                continue
            seed = self.random.choice(self._open_seeds())
            self.running[fork(self.machine(name), seed, self.log)] = (name, seed)

    def _reap(self, options: int = os.WNOHANG) -> None:
        for child in list(self.running):
            done, status = os.waitpid(child, options)
            if done:
                _, seed = self.running.pop(child)
                if code_of(status) == 0 and seed not in self.finished:
                    self.finished.append(seed)
                    if self.killed < self.kills:
                        self.opened += 1

    def _strike(self) -> None:
        """Kill or stop a machine: most of the time one that trains."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []
        trains = {line["pid"] for line in lines if line["event"] == "started"}
        trains -= {line["pid"] for line in lines if line["event"] in ("finished", "error")}
        chosen = [child for child in self.running if child in trains]
        if not chosen and self.random.random() > 0.1:
            return
        child = self.random.choice(chosen or list(self.running))
        if self.random.random() < 0.25:
            self.stopped += 1
            os.kill(child, signal.SIGSTOP)
            time.sleep(STOPPED_SECONDS)
            os.kill(child, signal.SIGCONT)
            return
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        name, _ = self.running.pop(child)
        self.killed += 1
        if self.random.random() < 0.5:
            shutil.rmtree(self.folder / name, ignore_errors=True)


def audit(soak: Soak) -> list[str]:
    """What is wrong, in sentences."""
    found: list[str] = []
    lines = [json.loads(line) for line in soak.log.read_text().splitlines()]
    by_seed: dict[int, set[str]] = {}
    for line in lines:
        if line["event"] == "finished":
            by_seed.setdefault(line["seed"], set()).add(line["run"])
    for seed in range(1, soak.opened + 1):
        runs = by_seed.get(seed, set())
        if len(runs) != 1:
            found.append(f"seed {seed} has the finished runs {sorted(runs)}")
        for run in runs:
            found += _audit_run(soak, seed, run)
    return found + _audit_champion(soak, {run for runs in by_seed.values() for run in runs})


def _audit_run(soak: Soak, seed: int, run: str) -> list[str]:
    found, folder = [], soak.store / "runs" / run
    attempts = sorted(folder.glob("attempt-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    for path in folder.glob("attempt-*/checkpoints/step-*"):
        if (path / "manifest.json").is_file() and (wrong := damage(path)):
            found.append(f"{path} is damaged: {wrong}")
    records = [json.loads((path / "attempt.json").read_text()) for path in attempts]
    if [one["number"] for one in records] != list(range(1, len(records) + 1)):
        found.append(f"{run} has the attempts {[one['number'] for one in records]}")
    if sorted(one["fence"] for one in records) != [one["fence"] for one in records]:
        found.append(f"{run} has attempts whose fences do not grow")
    for before, after in zip(attempts, records[1:], strict=False):
        saved = [int(path.parent.name[5:]) for path in before.glob("checkpoints/*/manifest.json")]
        if max(saved, default=0) > after["step"] + INTERVAL:
            found.append(
                f"{run}: attempt {after['number']} went on from step {after['step']}, not {max(saved)}"
            )
    last = attempts[-1] / "checkpoints" / f"step-{STEPS:08d}"
    finals = [path / "checkpoints" / last.name for path in attempts]
    whole = [path for path in finals if (path / "manifest.json").is_file()]
    if not whole:
        return [*found, f"{run} has no last checkpoint in the store"]
    alone = soak.folder / "alone" / str(seed)
    quiet = Machine(alone, soak.store, LEASE)
    _, status = os.waitpid(fork(quiet, seed, soak.folder / "alone.jsonl", pause=0, store=False), 0)
    code_of(status)
    (undisturbed,) = alone.glob(f".charpipe/runs/*/checkpoints/{last.name}")
    for path in whole:
        if digest_of_weights(path) != digest_of_weights(undisturbed):
            found.append(f"the weights of {run} are not those of an undisturbed run")
    return found


def _audit_champion(soak: Soak, runs: set[str]) -> list[str]:
    """Every promotion follows from the one before it, and the champion is what the last one made it."""
    found: list[str] = []
    for folder in (soak.store / "champions").glob("*"):
        state = json.loads((folder / "champion.json").read_text())
        lines = [json.loads(path.read_text()) for path in folder.glob("decisions/*.json")]
        promoted = sorted((line for line in lines if line["promoted"]), key=lambda line: line["version"])
        before: Any = None
        for line in promoted:
            expected = None if before is None else before["version"]
            if (line["champion"] or {}).get("version") != expected:
                found.append(
                    f"version {line['version']} replaced {line['champion']}, and {expected} was champion"
                )
            before = line
        if not promoted or state["champion"]["version"] != promoted[-1]["version"]:
            found.append(f"the champion is version {state['champion']['version']}")
        undecided = runs - {line["run"] for line in lines}
        if undecided:
            found.append(f"no decision about {sorted(undecided)}")
        model = next(folder.glob(f"versions/{state['champion']['version']:04d}-*/checkpoint"))
        if read_manifest(model).check(model, thorough=True) is not None:
            found.append("the champion's model is damaged")
    return found or ([] if any((soak.store / "champions").glob("*")) else ["there is no champion"])


def prepare(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CORPUS).write_text(sentences(1, 3000))
    (folder / "pipelines.toml").write_text("")
    os.chdir(folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    folder = given.folder.resolve()
    prepare(folder)
    soak, started = Soak(folder, given.kills, given.seed), time.monotonic()
    soak.live()
    problems = audit(soak)
    lines = [json.loads(line) for line in soak.log.read_text().splitlines()]
    started_at = [line["step"] for line in lines if line["event"] == "started"]
    attempts = len(list(soak.store.glob("runs/*/attempt-*")))
    decisions = len(list(soak.store.glob("champions/*/decisions/*.json")))
    print(
        f"{soak.killed} killed, {soak.stopped} stopped past their lease, in {time.monotonic() - started:.0f} s"
    )
    print(
        f"{soak.opened} runs in {attempts} attempts, {sum(step > 0 for step in started_at)} of them resumed"
    )
    print(f"{decisions} decisions about champions")
    print(
        f"{sum('took over' in line.get('message', '') for line in lines)} stopped machines said that another took over"
    )
    for problem in problems:
        print(f"wrong: {problem}")
    print("nothing was lost, no wrong promotion" if not problems else f"{len(problems)} problems")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
