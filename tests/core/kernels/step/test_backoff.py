"""When work is shared again with threads that were late."""

from charpipe.kernels.step.backoff import FIRST_PAUSE, MAX_PAUSE, Backoff


class Time:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def pause(backoff, time):
    """Seconds until the pause is over."""
    began = time.now
    while not backoff.is_over():
        time.now += FIRST_PAUSE / 8
    return time.now - began


def test_there_is_no_pause_at_first():
    assert Backoff(Time()).is_over()


def test_pauses_double_up_to_a_limit():
    time = Time()
    backoff, pauses = Backoff(time), []
    for _ in range(8):
        backoff.extend()
        pauses.append(pause(backoff, time))
    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses[-1] == MAX_PAUSE


def test_reset_shortens_the_next_pause():
    time = Time()
    backoff = Backoff(time)
    for _ in range(3):
        backoff.extend()
    pause(backoff, time)
    backoff.reset()
    backoff.extend()
    assert pause(backoff, time) == FIRST_PAUSE
