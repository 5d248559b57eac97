"""A process is known by its machine, boot and start: a killed one is told from one that lives, here or elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys

from charpipe_pipelines.orphans import is_alive, whose


def test_running_process_is_alive_and_a_killed_one_is_not() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    name = whose(process.pid)
    assert is_alive(name) is True
    process.kill()
    # a zombie does not count as alive, either
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert is_alive(name) is False
    process.communicate()
    assert is_alive(name) is False


def test_reused_process_number_is_another_process() -> None:
    host, pid, started, boot = whose().split(":", 3)
    assert is_alive(f"{host}:{pid}:{int(started) - 1}:{boot}") is False


def test_other_machines_and_containers_are_not_judged() -> None:
    host, pid, started, boot = whose().split(":", 3)
    assert is_alive(f"elsewhere:{pid}:{started}:{boot}") is None
    assert is_alive(f"{host}:{pid}:{started}:{boot.partition('/')[0]}/pid:[1]") is None
    assert is_alive("4711") is None


def test_processes_of_the_boot_before_are_gone() -> None:
    host, pid, started, boot = whose().split(":", 3)
    assert is_alive(f"{host}:{pid}:{started}:0000/{boot.partition('/')[2]}") is False


def test_name_that_an_earlier_release_wrote_is_understood() -> None:
    import psutil

    host, pid, *_ = whose().split(":", 3)
    assert is_alive(f"{host}:{pid}:{psutil.Process().create_time():.2f}") is True
    assert is_alive(f"{host}:{pid}:12.00") is False
