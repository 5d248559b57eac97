"""Decides how many updates a training makes: as set, as recorded, or as many as the time budget allows."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence

from charpipe.config.settings.training import TrainConfig, parse_budget, shown_budget
from charpipe.events import Notice, PlanRevised
from charpipe.training.budget import Pace, steps_within
from charpipe.training.group import Command
from charpipe.training.plan import Plan, Segment, rest_of
from charpipe.training.setup import Setup
from charpipe.training.state import State, copy_to_measure
from charpipe.training.update import build_update

LENGTH_SETTINGS = ("steps", "budget", "max_epochs")


class Planner:
    """Makes the plan of a training before its first update, and revises it after an update where the budget asks for
    it. With `recorded`, the plan of an earlier training, its steps and revisions are made again instead."""

    def __init__(self, setup: Setup, state: State, recorded: Plan | None = None) -> None:
        self._setup, self._state, self._recorded = setup, state, recorded
        self._pace: Pace | None = None
        self._revisions: Sequence[Segment] = ()

    def make_plan(self, stop: Callable[[], bool], started: float) -> Iterator[Notice]:
        """Set the state's plan. `started` is the time at which this process started to train; measuring ends early
        when `stop()` is true. Raises RunError where the recorded plan does not continue the state's."""
        setup, state, settings = self._setup, self._state, self._setup.settings
        if self._recorded is not None:
            state.plan = Plan(self._recorded.segments[:1]) if setup.resumed_settings is None else state.plan
            rest_of(self._recorded, state.plan, state.step)
        elif settings.steps is not None:
            self._restart(max(settings.steps, state.step))
        elif not self._same_length():
            spent = time.perf_counter() - started
            steps = self._measure(stop, spent)
            if not steps:
                yield _too_short(settings, spent)
            self._restart(max(1, steps))
            yield Notice(
                f"{shown_budget(settings.budget)} of training: {state.steps:,} step{'' if state.steps == 1 else 's'}"
            )

    def start(self, seconds: float) -> None:
        """Start to keep the budget, if there is one, `seconds` of which are spent."""
        setup, state = self._setup, self._state
        if self._recorded is not None:
            self._revisions = rest_of(self._recorded, state.plan, state.step)
        elif setup.settings.steps is None:
            budget = parse_budget(setup.settings.budget)
            every = setup.settings.evaluate_every
            self._pace = Pace(budget, state.plan, state.step, seconds, self._max_steps(), every)

    @property
    def keeps_budget(self) -> bool:
        """Whether a budget bounds the training."""
        return self._pace is not None

    def budget_left(self, seconds: float) -> float | None:
        """Seconds of the budget that are left after `seconds` of training; None where no budget bounds it."""
        if not self.keeps_budget:
            return None
        return max(0.0, parse_budget(self._setup.settings.budget) - seconds)

    def after_update(self, seconds: float, writing: float) -> Iterator[PlanRevised | Notice]:
        """Revise the plan where the budget asks for it, or where the recorded plan was revised. `seconds` of training
        are spent in all; writing a checkpoint takes `writing` seconds."""
        state, before = self._state, self._state.plan
        if self._pace is not None:
            self._pace.stepped(seconds)
            revision = self._pace.revision(before, state.step, seconds, writing)
        else:
            revision = next((part for part in self._revisions if part.step == state.step), None)
        if revision is None:
            return
        state.plan = before.extended(revision)
        yield PlanRevised(*revision)
        if self._pace is not None and revision.steps == state.step < before.steps:
            yield Notice(
                f"the machine became too slow for the plan of {before.steps:,} steps: the budget of "
                f"{shown_budget(self._setup.settings.budget)} is spent, ending at step {state.step:,}",
                "warning",
            )

    def after_evaluation(self, seconds: float) -> None:
        """Take the time of an evaluation into account."""
        if self._pace is not None:
            self._pace.evaluated(seconds)

    def _same_length(self) -> bool:
        """Whether a resumed run has the length that it had before."""
        resumed, settings = self._setup.resumed_settings, self._setup.settings
        return resumed is not None and all(
            resumed.get(key) == getattr(settings, key) for key in LENGTH_SETTINGS
        )

    def _measure(self, stop: Callable[[], bool], spent: float) -> int:
        """Updates in all that fit into what is left of the budget, measured on a copy. This process has spent `spent`
        seconds."""
        setup, state = self._setup, self._state
        left = parse_budget(setup.settings.budget) - state.seconds - spent
        most = self._max_steps() - state.step
        if left <= 0 or most <= 0:
            return state.step
        rate = setup.settings.learning_rate * 1e-3
        setup.group.give(Command.MEASURE)
        update = build_update(*copy_to_measure(setup, state))
        steps = steps_within(left, lambda step: update(step, rate)["loss"].item(), most, stop)
        setup.group.give(Command.TRAIN)
        return state.step + steps

    def _restart(self, steps: int) -> None:
        """Plan `steps`, as if from the start, unless the plan has them already."""
        state = self._state
        if steps != state.steps or self._setup.resumed_settings is None:
            state.plan = state.plan.restarted(state.step, steps) if state.step else Plan.of(steps)

    def _max_steps(self) -> int:
        return max(1, math.ceil(self._setup.settings.max_epochs * self._setup.batches.steps_per_epoch))


def _too_short(settings: TrainConfig, spent: float) -> Notice:
    return Notice(
        f"the budget of {shown_budget(settings.budget)} was spent before the first update: loading and compiling took "
        f"{spent:.1f} s; a single update is made, which trains next to nothing. Give a longer budget (--budget, "
        "train.budget); what was compiled is kept for it",
        "warning",
    )
