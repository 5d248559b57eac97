"""Threads at the barrier wait without taking the processor."""

import threading
import time

import numpy as np
import pytest

pytest.importorskip("numba")


def test_long_wait_takes_little_processor_time():
    from charpipe.kernels.step.barrier import wait

    wait(np.zeros(1, np.int64), 1)  # compiles
    counter, used = np.zeros(1, np.int64), []

    def waiting():
        before = time.thread_time()
        wait(counter, 2)
        used.append(time.thread_time() - before)

    thread = threading.Thread(target=waiting)
    thread.start()
    time.sleep(1)
    assert thread.is_alive()
    wait(counter, 2)
    thread.join()
    assert used[0] < 0.5
