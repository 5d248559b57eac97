"""A budget is kept by revising the plan, whatever else the machine does; a recorded plan gives the same weights."""

import itertools

import pytest

from charpipe.training import TrainConfig, last_checkpoint, train
from charpipe.training.budget import Pace
from charpipe.training.plan import Plan
from charpipe.training.schedules import learning_rate

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
    plan, step, now = Plan.of(int(BUDGET * 0.94 / step_seconds(0))), 0, 0.0
    pace = Pace(BUDGET, plan, step, now, most=10**9)
    while step < plan.steps and not pace.is_over(now):
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
    plan, step, now = simulated(CONDITIONS[condition])
    assert step == plan.steps
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
