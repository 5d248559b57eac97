"""Threads that share a stream wait for each other without taking the processor."""

import threading
import time

import numpy as np
import pytest

pytest.importorskip("numba")


def test_waiting_for_a_stopped_partner_takes_little_processor_time():
    from charpipe.models.stepping.kernels import meet

    meet(np.zeros(1, np.int64), 1)  # compiles
    counter, used = np.zeros(1, np.int64), []

    def wait():
        before = time.thread_time()
        meet(counter, 2)
        used.append(time.thread_time() - before)

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(1)
    assert waiting.is_alive()
    meet(counter, 2)
    waiting.join()
    assert used[0] < 0.5
