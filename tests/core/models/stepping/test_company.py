"""When work is shared with other threads."""

from charpipe.models.stepping.company import FIRST, LONGEST, Company


class Time:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def pause(company, time):
    """Seconds until the others are asked again."""
    began = time.now
    while not company.is_free():
        time.now += FIRST / 8
    return time.now - began


def test_others_are_asked_at_first():
    assert Company(Time()).is_free()


def test_pauses_grow_up_to_a_limit():
    time = Time()
    company, pauses = Company(time), []
    for _ in range(8):
        company.was_late()
        pauses.append(pause(company, time))
    assert pauses[:3] == [FIRST, 2 * FIRST, 4 * FIRST]
    assert pauses[-1] == LONGEST


def test_who_kept_up_is_trusted_again():
    time = Time()
    company = Company(time)
    for _ in range(3):
        company.was_late()
    pause(company, time)
    company.kept_up()
    company.was_late()
    assert pause(company, time) == FIRST
