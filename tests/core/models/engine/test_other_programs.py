"""How much processor time other programs are seen to use."""

import os
import subprocess
import sys
import time

import pytest

from charpipe.models.engine.other_programs import OtherPrograms, clock, cores_here

BURN = "import time\nwhile time.process_time() < 1: pass"


def counted(*times):
    left = iter(times)
    return OtherPrograms(lambda: next(left))


def test_what_this_process_used_is_taken_off():
    assert counted((0.0, 10.0, 1.0), (2.0, 13.0, 2.5)).cores() == 0.75


@pytest.mark.parametrize(
    "times", [(None, None), ((0.0, 1.0, 1.0), None), ((0.0, 0.0, 0.0), (0.01, 1.0, 0.0))]
)
def test_what_cannot_be_counted_is_none(times):
    assert counted(*times).cores() == 0


def test_cores_that_are_not_needed_may_be_busy():
    busy = (0.0, 0.0, 0.0), (1.0, 1.0, 0.0), (1.0, 1.0, 0.0)
    assert counted(*busy).disturb(cores_here())
    if cores_here() > 1:
        assert not counted(*busy).disturb(cores_here() - 1)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs Linux")
def test_a_process_that_works_is_seen():
    if clock() is None:
        pytest.skip("processor times are hidden here")
    others, began = OtherPrograms(), time.monotonic()
    subprocess.run([sys.executable, "-c", BURN], check=True)
    assert others.cores() * (time.monotonic() - began) > 0.8
