from __future__ import annotations

from charpipe.stages import Stop


def test_a_part_stops_with_the_whole_and_alone() -> None:
    whole = Stop()
    part, other = whole.own(), whole.own()
    part.end()
    assert part.event.is_set() and not whole.event.is_set() and not other.event.is_set()
    whole.request(15)
    assert other.event.is_set()
    assert (part.signal, other.signal) == (15, 15)
