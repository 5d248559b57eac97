"""Worker processes: results in order, errors as in this process, a sentence where one dies, none left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from charpipe.errors import CharpipeError, CorpusError, InterruptedRun, UsageError
from charpipe.parallel import DIRECT, Direct, Processes, choose_processes, local_processes
from charpipe.parallel import processes as module
from waiting import until


def double(number: int) -> int:
    return 2 * number


def process_id(number: int) -> int:
    return os.getpid()


def fail(kind: str) -> None:
    sys.stdout.write("a plugin that prints\n")
    sys.stdout.flush()
    if kind == "usage":
        raise UsageError("the words of the error")
    if kind == "disk":
        raise OSError(28, "No space left on device", "tokens.npy")
    if kind == "below":
        raise _BelowCorpusError("a damaged archive")
    raise ZeroDivisionError("division by zero")


class _BelowCorpusError(CorpusError):
    pass


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def die(number: int) -> int:
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def arguments(count: int) -> list[dict[str, Any]]:
    return [{"number": at} for at in range(count)]


@pytest.mark.parametrize("count", [0, 1, 40])
def test_results_come_in_the_order_of_the_arguments(count: int) -> None:
    with Processes(2) as processes:
        assert list(processes.map(double, arguments(count))) == [2 * at for at in range(count)]
        assert list(processes.map(double, arguments(count), ahead=9)) == [2 * at for at in range(count)]
    assert list(DIRECT.map(double, arguments(count))) == [2 * at for at in range(count)]


def test_calls_run_in_other_processes_that_end_with_the_block() -> None:
    with Processes(2) as processes:
        found = set(processes.map(process_id, arguments(20)))
        assert os.getpid() not in found and 1 <= len(found) <= 2
    for pid in found:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("usage", UsageError, "the words of the error"),
        ("below", CorpusError, "a damaged archive"),
        ("disk", OSError, "No space left"),
        ("bug", CharpipeError, "ZeroDivisionError: division by zero"),
    ],
)
def test_an_error_is_raised_as_in_this_process(kind: str, error: type[Exception], message: str) -> None:
    with Processes(2) as processes, pytest.raises(error, match=message) as raised:
        list(processes.map(fail, [{"kind": kind}]))
    assert any("in a worker process" in note for note in raised.value.__notes__)


def test_a_killed_process_gives_one_sentence() -> None:
    with Processes(2) as processes, pytest.raises(CharpipeError) as raised:
        list(processes.map(die, arguments(6)))
    assert str(raised.value) == (
        "a worker process was killed by SIGKILL; nothing was kept. Type the same command again, or, if memory is "
        "short, with --set corpus.processes=1"
    )


def test_a_stop_does_not_wait_for_calls_that_run() -> None:
    def stop() -> None:
        raise InterruptedRun("stopped", 2)

    with Processes(2) as processes, pytest.raises(InterruptedRun):
        list(processes.map(sleep, [{"seconds": 10**6}] * 3, stop))


SCRIPT = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
sys.path.insert(0, {folder!r})
from charpipe.parallel import Processes
from test_worker_processes import process_id, sleep
with Processes(2) as processes:
    print(*set(processes.map(process_id, [{{"number": at}} for at in range(20)])), flush=True)
    list(processes.map(sleep, [{{"seconds": 3600}}] * 2))
"""
"""A script without `if __name__ == "__main__"`."""


@pytest.mark.parametrize("name", ["SIGKILL", "SIGINT"])
def test_no_process_outlives_the_one_that_started_it(name: str, tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    tests = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[2])])
    path.write_text(SCRIPT.format(folder=str(Path(__file__).parent)))
    environment = os.environ | {"PYTHONPATH": tests}
    script = subprocess.Popen(
        [sys.executable, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        text=True,
    )
    assert script.stdout is not None
    with script.stdout:
        found = [int(pid) for pid in script.stdout.readline().split()]
    assert found
    script.send_signal(signal.Signals[name])
    until(lambda: script.poll() is not None)
    until(lambda: not any(is_alive(pid) for pid in found))


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_number_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_cores", lambda: 4)
    assert choose_processes(None, 10**6) == 1
    assert choose_processes(None, 10**9) == 4
    assert choose_processes(3, 10) == 3
    monkeypatch.setattr(module, "_cores", lambda: 64)
    assert choose_processes(None, 10**12) == 8
    with local_processes(1) as one:
        assert isinstance(one, Direct)
