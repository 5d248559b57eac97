from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from charpipe.stages.pool import run_at_once
from waiting import until


def never() -> None:
    raise AssertionError("nothing failed")


def test_one_at_a_time_runs_in_this_thread_and_in_order() -> None:
    here = threading.get_ident()
    found = list(run_at_once(lambda item: (item, threading.get_ident()), [3, 1, 2], 1, never))
    assert found == [(item, (item, here)) for item in (3, 1, 2)]


def test_an_item_is_taken_only_when_there_is_room() -> None:
    taken: list[int] = []
    gates = [threading.Event() for _ in range(4)]

    def items() -> Iterator[int]:
        for number in range(4):
            taken.append(number)
            yield number

    def call(number: int) -> int:
        gates[number].wait()
        return number * 10

    results = run_at_once(call, items(), 2, never)
    gates[1].set()
    assert next(results) == (1, 10)  # in order of completion: the first item still runs
    assert taken == [0, 1]
    gates[2].set()
    assert next(results) == (2, 20)
    assert taken == [0, 1, 2]
    for gate in gates:
        gate.set()
    assert sorted(results) == [(0, 0), (3, 30)]


def test_an_error_asks_the_others_to_end_and_is_raised_after_them() -> None:
    asked, ended = threading.Event(), threading.Event()
    began: list[int] = []

    def call(number: int) -> None:
        began.append(number)
        if number == 1:
            until(lambda: 0 in began)
            raise ValueError("no more")
        asked.wait()
        ended.set()

    with pytest.raises(ValueError, match="no more"):
        list(run_at_once(call, range(9), 2, asked.set))
    assert ended.is_set()
    assert sorted(began) == [0, 1]
