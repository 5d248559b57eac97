"""The one answer to "is it done already?", and those who ask for it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from charpipe.events import StageFinished, StageStarted
from charpipe.stages import WouldRun
from charpipe.stages.computation import Computation, Found, once


class Toy(Computation[str]):
    stage = "ingest"

    def __init__(self, known: str | None = None) -> None:
        self.known = known
        self.asked = self.made = self.prepared = 0

    def find(self) -> Found[str]:
        self.asked += 1
        return Found(self.known, "first time", "make a toy")

    def prepare(self) -> None:
        self.prepared += 1

    def make(self) -> str:
        self.made += 1
        return "made"

    def summary(self, result: str) -> str:
        return f"it is {result}"


def test_what_is_done_is_skipped(open_context: Any, heard: Any) -> None:
    toy = Toy("known")
    assert once(open_context(), toy) == "known"
    assert (toy.made, toy.prepared) == (0, 0)
    [event] = heard
    assert event == StageFinished("ingest", "it is known", 0.0, skipped=True)


def test_what_is_not_done_is_made(open_context: Any, heard: Any) -> None:
    toy = Toy()
    assert once(open_context(), toy) == "made"
    assert (toy.made, toy.prepared) == (1, 1)
    assert heard.of(StageStarted) == [StageStarted("ingest", "first time")]
    [finished] = heard.of(StageFinished)
    assert (finished.summary, finished.skipped) == ("it is made", False)


def test_what_is_forced_is_made_again(open_context: Any, heard: Any) -> None:
    toy = Toy("known")
    assert once(open_context(force=frozenset({"ingest"})), toy) == "made"
    assert toy.asked == 0
    assert heard.of(StageStarted) == [StageStarted("ingest", "forced")]


def test_a_dry_run_makes_nothing(open_context: Any, heard: Any) -> None:
    toy = Toy()
    with pytest.raises(WouldRun, match=r"^ingest: would make a toy \(first time\), and all after it$"):
        once(open_context(dry_run=True), toy)
    assert (toy.made, list(heard)) == (0, [])
    assert once(open_context(dry_run=True), Toy("known")) == "known"


def test_what_another_made_while_it_was_waited_for_is_found(open_context: Any) -> None:
    class Waiting(Toy):
        @contextmanager
        def lock(self):
            self.known = "made by another"
            yield

    toy = Waiting()
    assert once(open_context(), toy) == "made by another"
    assert (toy.asked, toy.made) == (2, 0)


def test_an_unprepared_one_never_starts(open_context: Any, heard: Any) -> None:
    class Impossible(Toy):
        def prepare(self) -> None:
            raise ValueError("impossible")

    with pytest.raises(ValueError, match="impossible"):
        once(replace(open_context()), Impossible())
    assert list(heard) == []
