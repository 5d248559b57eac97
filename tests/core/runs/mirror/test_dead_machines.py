"""A machine dies, or is stopped past its lease, while it trains: another one takes its run over."""

from __future__ import annotations

import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from run_machines import Machine, train, weights
from waiting import LIMIT, until

pytestmark = pytest.mark.e2e
Machines = Callable[[str], Machine]
INTERVAL = 5
"""Steps between two checkpoints."""


class Process:
    """A machine as a process that trains slowly."""

    def __init__(self, machine: Machine, pause: float) -> None:
        script = Path(__file__).with_name("training_process.py")
        words = [sys.executable, str(script), str(machine.root), machine.url, machine.lease, str(pause)]
        self.lines: list[str] = []
        self._news: queue.Queue[str] = queue.Queue()
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self._read, daemon=True).start()

    def wait_for(self, beginning: str) -> str:
        """The first line that is not read yet and begins like this."""
        while True:
            line = self._news.get(timeout=LIMIT)
            assert line, f"no {beginning!r} among {self.lines}"
            if line.startswith(beginning):
                return line

    def ended(self) -> int:
        return self.process.wait(timeout=LIMIT)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout:
            for line in self.process.stdout:
                self.lines.append(line.rstrip("\n"))
                self._news.put(line.rstrip("\n"))
        self._news.put("")


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def begin(machine: Machine, pause: float = 0.2) -> Process:
        started.append(Process(machine, pause))
        return started[-1]

    yield begin
    for process in started:
        process.process.kill()
        process.process.wait()


def uninterrupted(machine: Machine) -> str:
    """The digest of the weights of a run that nobody disturbed."""
    return weights(machine.run(train(machine.context(store__url=None)).run))


def attempts(machine: Machine, run: str) -> list[str]:
    return sorted(path.name for path in (machine.store / "runs" / run).glob("attempt-*"))


def wait_for_checkpoint(machine: Machine, run: str) -> None:
    """Wait until the checkpoint of step 10 is in the store, whole."""
    folder = machine.store / "runs" / run / "attempt-1" / "checkpoints"
    until((folder / "step-00000010" / "manifest.json").is_file)


def stored(machine: Machine, run: str, attempt: int) -> dict[str, bytes]:
    folder = machine.store / "runs" / run / f"attempt-{attempt}"
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_killed_machine_costs_at_most_one_checkpoint_interval(
    machine: Machines, start: Callable[..., Process]
) -> None:
    a, b = machine("a"), machine("b")
    first = start(a)
    run = first.wait_for("started").split()[-1]
    wait_for_checkpoint(a, run)
    first.process.send_signal(signal.SIGKILL)
    first.ended()
    reached = int([line for line in first.lines if line.startswith("step ")][-1].split()[1])
    shutil.rmtree(a.root)

    second = start(b, 0)
    step = int(second.wait_for("started").split()[1])
    assert second.ended() == 0
    assert step >= 10 and step > reached - 2 * INTERVAL  # the last one may have been complete, but not pushed
    assert b.run(run).status.state == "finished"
    assert weights(b.run(run)) == uninterrupted(machine("alone"))
    assert attempts(b, run) == ["attempt-1", "attempt-2"]


def test_other_machine_waits_for_a_living_one(machine: Machines, start: Callable[..., Process]) -> None:
    a, b = machine("a"), machine("b")
    first = start(a, 1.0)
    run = first.wait_for("started").split()[-1]
    second = start(b, 0)
    waiting = second.wait_for("notice train: waiting")
    assert f"waiting for process {first.process.pid} on " in waiting
    assert first.ended() == 0
    assert second.ended() == 0
    assert second.lines[-1] == f"finished {run} True"
    assert not [line for line in second.lines if line.startswith("started")]


def test_machine_that_wakes_up_past_its_lease_writes_nothing(
    machine: Machines, start: Callable[..., Process]
) -> None:
    a, b = machine("a"), machine("b")
    first = start(a)
    run = first.wait_for("started").split()[-1]
    wait_for_checkpoint(a, run)
    first.process.send_signal(signal.SIGSTOP)
    second = start(b, 0.2)
    second.wait_for("checkpoint 15")
    before = stored(a, run, 1)
    first.process.send_signal(signal.SIGCONT)
    error = first.wait_for("error")
    assert first.ended() == 1
    assert run in error and "took over" in error and "nothing more was written" in error
    assert second.ended() == 0
    assert stored(a, run, 1) == before
    assert "checkpoints/step-00000024/manifest.json" in stored(a, run, 2)
    assert weights(b.run(run)) == uninterrupted(machine("alone"))
    again = start(a, 0)  # and what the first machine has is the second one's now
    assert again.wait_for("finished").split()[1:] == [run, "True"]
    assert a.run(run).status.state == "finished"
