from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from charpipe_pipelines.deployments.policies import Due, decide
from charpipe_pipelines.deployments.settings import DeploymentConfig

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def config(**values: Any) -> DeploymentConfig:
    return DeploymentConfig(pipeline="train-and-sample", **values)


def due(number: int, hours_ago: float, **values: Any) -> Due:
    return Due(UUID(int=number), NOW - timedelta(hours=hours_ago), NOW, **values)


def test_twelve_missed_ones_are_caught_up_with_by_one() -> None:
    missed = [due(number, hours_ago=number + 1) for number in range(12)]
    decision = decide(missed, False, config())
    assert decision.start == missed[0]  # the newest
    assert [one for one, _ in decision.skip] == missed[:0:-1]


def test_or_by_none_where_late_ones_are_skipped() -> None:
    missed = [due(number, hours_ago=number + 1) for number in range(12)]
    decision = decide(missed, False, config(late="skip"))
    assert decision.start is None
    assert len(decision.skip) == 12
    assert decide([*missed, due(20, 0.01)], False, config(late="skip")).start == due(20, 0.01)


def test_waiting_for_the_one_before_is_not_being_late() -> None:
    waited = Due(UUID(int=1), NOW - timedelta(hours=2), NOW - timedelta(hours=2))
    assert decide([waited], False, config(late="skip")).start == waited


def test_the_run_that_goes_on_stands_for_the_missed_ones() -> None:
    interrupted = due(1, 20, again=True)
    decision = decide([interrupted, due(2, 8), due(3, 2)], False, config())
    assert decision.start == interrupted
    assert [one for one, _ in decision.skip] == [due(2, 8), due(3, 2)]


def test_a_retry_takes_nothing_from_a_run_that_is_on_time() -> None:
    assert decide([due(1, 20, again=True), due(2, 0)], False, config()).skip == []


def test_a_paused_schedule_starts_nothing_but_what_was_asked_for_or_resumes() -> None:
    left, asked, resumed = due(1, 0), due(2, 0, by_schedule=False), due(3, 1, again=True)
    decision = decide([left], False, config(), paused=True)
    assert (decision.start, decision.skip) == (None, [(left, "its deployment is paused")])
    assert decide([left, asked], False, config(), paused=True).start == asked
    assert decide([left, resumed], False, config(), paused=True).start == resumed
    assert not decide([left], True, config(overlap="replace"), paused=True).stop_running


def test_overlap() -> None:
    new = due(1, 0)
    assert decide([new], True, config()) == decide([], True, config())
    assert [one for one, _ in decide([new], True, config(overlap="skip")).skip] == [new]
    replaced = decide([new], True, config(overlap="replace"))
    assert (replaced.stop_running, replaced.start, replaced.skip) == (True, None, [])


runs = st.lists(
    st.builds(due, st.integers(0, 10**9), st.floats(0, 48), by_schedule=st.booleans(), again=st.booleans()),
    unique_by=lambda one: one.id,
    max_size=12,
)


@given(
    runs,
    st.booleans(),
    st.sampled_from(["once", "skip"]),
    st.sampled_from(["wait", "skip", "replace"]),
)
def test_no_run_is_lost_or_counted_twice(found: list[Due], running: bool, late: str, overlap: str) -> None:
    decision = decide(found, running, config(late=late, overlap=overlap))
    skipped = [one for one, _ in decision.skip]
    assert len(set(skipped)) == len(skipped)
    assert decision.start not in skipped
    assert not running or decision.start is None
    for one in skipped:
        assert not one.again
        assert one.by_schedule or (running and overlap == "skip")
    left = [one for one in found if one not in skipped]
    assert len([one for one in left if one.by_schedule and not one.again]) <= 1
    if not running and left:
        assert decision.start in left
