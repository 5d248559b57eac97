"""A budget is kept by revising the plan, whatever else the machine does; a recorded plan gives the same weights."""

import itertools
import json

import pytest
import torch
from hypothesis import example, given
from hypothesis import settings as trials
from hypothesis import strategies as st

from charpipe.errors import RunError
from charpipe.events import Notice, Step
from charpipe.training import TrainConfig, last_checkpoint, loop, planner, train, update
from charpipe.training.budget import Pace, steps_within
from charpipe.training.plan import Plan, rest_of
from charpipe.training.schedules import learning_rate
from simulated_clock import simulate

BUDGET, IDLE, BUSY = 100.0, 0.01, 0.05
CONDITIONS = {
    "idle": lambda now: IDLE,
    "busy": lambda now: BUSY,
    "busy at first": lambda now: BUSY if now < 25 else IDLE,
    "busy later": lambda now: IDLE if now < 50 else BUSY,
    "collapses late": lambda now: IDLE if now < 80 else 30 * IDLE,
    "one long pause": lambda now: 3.0 if 40 < now < 43 else IDLE,
}


def simulated(step_seconds, evaluation=0.5):
    """The plan and the seconds of a training whose first plan is of the speed at the start."""
    plan, step, now = Plan.of(max(1, int(BUDGET * 0.94 / step_seconds(0)))), 0, 0.0
    pace = Pace(BUDGET, plan, step, now, most=10**9)
    while step < plan.steps:
        now += step_seconds(now)
        step += 1
        pace.stepped(now)
        if revision := pace.revision(plan, step, now):
            plan = plan.extended(revision)
        if step == plan.steps or plan.evaluations_between(step - 1, step):
            now += evaluation
            pace.evaluated(now)
    return plan, step, now


@pytest.mark.parametrize("condition", CONDITIONS)
def test_budget_is_kept_within_a_tenth(condition):
    _, _, now = simulated(CONDITIONS[condition])
    assert now == pytest.approx(BUDGET, rel=0.1)


@pytest.mark.parametrize("condition", ["idle", "busy", "busy at first", "busy later"])
def test_learning_rate_never_jumps_and_ends_at_its_end(condition):
    plan, step, _ = simulated(CONDITIONS[condition])
    chosen = TrainConfig(learning_rate=1.0, final_learning_rate=0.1, warmup=0.05)
    places = [plan.position(done + 1) for done in range(step)]
    rates = [learning_rate(chosen, position - 1, steps) for position, steps in places]
    assert max(abs(a - b) for a, b in itertools.pairwise(rates)) < 0.05
    assert rates[-1] == pytest.approx(0.1, abs=1e-6)


def test_recorded_plan_replayed_gives_equal_weights(tmp_path, new_model, tokens, settings):
    plan = Plan.of(30).revised(10, 50, 20).revised(20, 26, 4)
    chosen = settings(steps=None, budget="1h", evaluate_every=None)

    def weights(folder, stop_at=None, resume=None):
        events = []
        for event in train(
            new_model(), tokens, chosen, validation=tokens[:300], checkpoints=folder, resume=resume, plan=plan,
            stop=lambda: getattr(events[-1], "step", 0) == stop_at if events else False,
        ):  # fmt: skip
            events.append(event)
        return events[-1].step, (last_checkpoint(folder) / "model.safetensors").read_bytes()

    whole = weights(tmp_path / "whole")
    assert whole[0] == 26
    assert weights(tmp_path / "part", stop_at=15)[0] < 26
    assert weights(tmp_path / "part", resume=last_checkpoint(tmp_path / "part")) == whole


LONGEST = 0.1 * BUDGET
"""A step that alone is longer than this cannot be foreseen."""


@trials(deadline=None)  # simulated time is kept, not that of this machine
@example([(3.0, 1), (0.125, 1), (1.0, 3), (4.0, 3), (1.0, 1), (8.0, 2)], 1.0)
@given(
    st.lists(st.tuples(st.floats(0.02, LONGEST), st.integers(1, 400)), min_size=1),
    st.floats(0.0, 0.01 * BUDGET),
)
def test_budget_is_kept_with_any_step_times(phases, evaluation):
    steps = itertools.cycle([seconds for seconds, count in phases for _ in range(count)])
    _, _, now = simulated(lambda now: next(steps), evaluation)
    assert 0.9 * BUDGET <= now <= 1.1 * BUDGET + evaluation  # the first one's length is not known before


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 60), st.integers(1, 30)), max_size=5))
def test_plan_is_read_as_it_was_written(revisions):
    plan, step = Plan.of(40), 0
    for apart, further, count in revisions:
        step += apart
        plan = plan.revised(step, step + further, count)
    read = Plan.from_json(json.loads(json.dumps(plan.to_json())))
    assert read == plan
    assert [read.position(done) for done in range(step + 60)] == [
        plan.position(done) for done in range(step + 60)
    ]


@pytest.mark.parametrize(
    "recorded",
    [
        "null", "[]", "{}", "[null]", "[[0, 10, 0.0]]", "[[0, 10, Infinity, 20]]", "[[0, 10, NaN, 20]]",
        "[[0, Infinity, 0.0, 20]]", "[[false, 10, 0.0, 20]]", "[[0, true, 0.0, 20]]", "[[0, 10.5, 0.0, 20]]",
        '[["0", 10, 0.0, 20]]', "[[0, 10, 11.0, 20]]", "[[0, 10, 0.0, 0]]", "[[5, 10, 5.0, 20]]", "[[0, -1, 0.0, 20]]",
        "[[0, 10, 0.0, 20], [4, 8, 3.0, 20], [4, 9, 3.0, 20]]", f"[[0, {10**400}, 0.0, 20]]",
        f"[[0, {10**400}, {10**400}, 20]]",
    ],
)  # fmt: skip
def test_recorded_plan_that_is_none_is_refused(recorded):
    with pytest.raises(RunError, match="recorded plan"):
        Plan.from_json(json.loads(recorded))


def test_evaluations_are_counted_as_they_were_due():
    """Patience counts those that took place under each part of the plan."""
    plan = Plan.of(100).revised(50, 200, 10).revised(120, 130, 2)
    made = sum(
        Plan(tuple(part for part in plan.segments if part.step <= done)).evaluations_between(done - 1, done)
        for done in range(1, 131)
    )
    assert plan.evaluations_between(0, 130) == made


def test_plan_of_another_training_is_refused():
    plan = Plan.of(30).revised(10, 50, 20)
    assert rest_of(plan, Plan.of(30), 5) == plan.segments[1:]
    for begun, step in ((Plan.of(31), 5), (Plan.of(30), 10), (plan.revised(20, 60), 25)):
        with pytest.raises(RunError, match="another plan of steps"):
            rest_of(plan, begun, step)


def test_budget_spent_on_compiling_is_told_and_one_update_made(
    monkeypatch, tmp_path, new_model, tokens, settings
):
    """Loading and compiling count: where they take longer than the budget, a run of no update is no success."""
    clock = simulate(monkeypatch, lambda now: 0.1)
    prepared = loop.initialize

    def slowly(*arguments):
        clock.now += 10.0
        return prepared(*arguments)

    monkeypatch.setattr(loop, "initialize", slowly)
    chosen = settings(steps=None, budget="6", evaluate_every=None)
    events = list(train(new_model(), tokens, chosen, checkpoints=tmp_path))
    warnings = [event.message for event in events if isinstance(event, Notice) and event.level == "warning"]
    assert (
        "the budget of 6s was spent before the first update: loading and compiling took 10.0 s" in warnings[0]
    )
    assert events[-1].step == 1
    assert events[-1].seconds == pytest.approx(10.1)  # they are counted


@pytest.mark.parametrize("seconds", [0.001, 0.02, 0.1])
def test_compiling_counts_and_measuring_is_a_small_part(
    seconds, monkeypatch, tmp_path, new_model, tokens, settings
):
    budget, compiling = 20.0, 3.0
    clock = simulate(monkeypatch, lambda now: seconds)
    prepared, measuring = loop.initialize, []

    def slowly(*arguments):
        clock.now += compiling
        return prepared(*arguments)

    def watched(*arguments):
        before = clock.now
        found = steps_within(*arguments)
        measuring.append(clock.now - before)
        return found

    monkeypatch.setattr(loop, "initialize", slowly)
    monkeypatch.setattr(planner, "steps_within", watched)
    monkeypatch.setattr(update, "optimize", lambda *_: {"loss": torch.zeros(())})
    chosen = settings(steps=None, budget=f"{budget:g}s", evaluate_every=None, max_epochs=1e6)
    for event in train(new_model(), tokens, chosen, checkpoints=tmp_path):
        if isinstance(event, Step) and event.step == 1:
            break
    assert 0 < measuring[0] <= 0.03 * budget
    assert event.seconds == pytest.approx(compiling + measuring[0] + seconds)
    assert event.steps * seconds == pytest.approx((budget - compiling) * 0.94 - measuring[0], rel=0.01)
