"""Runs the first stages of a pipeline while the workspace's Prefect server is still starting.

A thread runs the pipeline's stages directly. Once the server answers, it starts no further stage. Then the flow
starts, and the tasks of the stages already started take over their results, or wait for the one still running: the
flow run shows the same tasks, states and dependencies as any other. The events of a stage are sent to the flow run's
page when its task runs.
"""

from __future__ import annotations

import dataclasses
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ParamSpec, TypeVar

from charpipe.errors import InterruptedRun
from charpipe.events import Event, Listener, StageProgress, Step, TrainingStarted
from charpipe.plugin import Options, PipelineResult
from charpipe.runs import Run
from charpipe.stages import DIRECT, Context, Parallel, Stage
from charpipe.stages.executors import Arguments

POLL_SECONDS = 0.1
P = ParamSpec("P")
R = TypeVar("R")


class _HandOver(BaseException):
    """The server answers: the flow runs the next stage."""


class _StartedStage:
    """A stage that was started: the events its task has not received yet, and its outcome once it has ended."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.result: Any = None
        self.error: BaseException | None = None
        self._events: deque[Event] = deque()
        self._over = False
        self._changed = threading.Condition()

    def add(self, event: Event) -> None:
        """Store an event; of consecutive step events only the newest is kept, which is all that a page needs."""
        with self._changed:
            latest = self._events[-1] if self._events else None
            if isinstance(event, Step | StageProgress) and type(latest) is type(event):
                self._events.pop()
            self._events.append(event)
            self._changed.notify()

    def end(self) -> None:
        """End the events, and set the outcome."""
        with self._changed:
            self._over = True
            self._changed.notify()

    def follow(self, listener: Listener) -> None:
        """Send every event to the listener, in this thread, until the stage ends."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._events or self._over)
                if not self._events:
                    return
                event = self._events.popleft()
            listener(event)


class EarlyStages:
    """An executor that runs a recipe's stages in a thread until `hand_over`; `take` passes their results to the
    flow."""

    def __init__(self, recipe: Callable[..., PipelineResult], options: Options, context: Context) -> None:
        self._recipe, self._options = recipe, options
        self._tell, self._runs = context.emit, context.workspace.runs
        self._context = dataclasses.replace(context, emit=self._emit, executor=self)
        self._started: deque[_StartedStage] = deque()
        self._at: _StartedStage | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._decided = threading.Event()
        """Set once it is known whether a flow takes over."""
        self._result: PipelineResult | None = None
        self._error: BaseException | None = None
        self._run: str | None = None
        self._flow_run: Mapping[str, Any] | None = None
        self._thread = threading.Thread(target=self._carry_out, name="charpipe-ahead", daemon=True)

    def run(self, stage: Stage[P, R], context: Context, *args: P.args, **kwargs: P.kwargs) -> R:
        with self._lock:
            if self._closed:
                raise _HandOver
            at = self._at = _StartedStage(stage.name)
            self._started.append(at)
        try:
            result = at.result = stage.carry_out(context, *args, **kwargs)
        except BaseException as error:
            at.error = error
            raise
        finally:
            at.end()
        return result

    def map(
        self, stage: Stage[..., R], context: Context, calls: Iterable[Arguments], parallel: Parallel
    ) -> Iterator[tuple[Arguments, R]]:
        """Call the stage with each of these arguments; in any other way than one after another only where no flow takes
        over, since the calls, and what watches them, would have to be handed over as well."""
        if parallel == Parallel():
            for arguments in calls:
                yield arguments, self.run(stage, context, *arguments)
            return
        while not self._decided.wait(POLL_SECONDS):
            context.check_stop(stage.name)
        if self._closed:
            raise _HandOver
        self._at = None
        yield from DIRECT.map(stage, context, calls, parallel)

    def start(self) -> None:
        """Start the first stage, unless it has already started."""
        if self._thread.ident is None:
            self._thread.start()

    def was_stopped(self) -> InterruptedRun | None:
        """The interruption that ended the work, or None."""
        return self._error if isinstance(self._error, InterruptedRun) else None

    def result(self) -> PipelineResult:
        """The pipeline's result, where there is no flow to hand over to; raises what a stage raised."""
        self._decided.set()
        self._thread.join()
        if self._error is not None:
            raise self._error
        assert self._result is not None
        return self._result

    def hand_over(self) -> None:
        """Start no further stage; the running one continues."""
        with self._lock:
            self._closed = True
        self._decided.set()

    def wait(self) -> None:
        """Wait, after `hand_over`, until the running stage ends."""
        if self._thread.ident is not None:
            self._thread.join()

    def has_started(self, stage: str) -> bool:
        """Whether the next result to take is that of `stage`."""
        return bool(self._started) and self._started[0].name == stage

    def take(self, listener: Listener, flow_run: Mapping[str, Any]) -> Any:
        """The result of the next stage that was started, once it has ended; raises what the stage raised.

        The listener receives its events in this thread; the flow run is stored with its training run.
        """
        self._flow_run = flow_run
        stage = self._started.popleft()
        stage.follow(listener)
        if not self._started:
            self._thread.join()
            self._remember_flow_run()
        if stage.error is not None:
            raise stage.error
        return stage.result

    def _carry_out(self) -> None:
        try:
            self._result = self._recipe(self._context, self._options)
        except _HandOver:
            pass
        except BaseException as error:  # raised when the result is taken
            self._error = error

    def _emit(self, event: Event) -> None:
        if isinstance(event, TrainingStarted):
            self._run = event.run
        self._remember_flow_run()
        if self._at is not None:
            self._at.add(event)
        self._tell(event)

    def _remember_flow_run(self) -> None:
        """Store the flow run with the training run, in the thread that writes its status."""
        if self._run is not None and self._flow_run is not None:
            Run(self._runs / self._run).update(prefect=dict(self._flow_run))
            self._run = None
