"""The tracker: a listener that updates MLflow during a run, from a separate thread that training never waits for.

It reads the files in the run's folder, so nothing accumulates in memory while MLflow is slow, locked or unavailable:
it retries with growing intervals, and `charpipe runs sync` fills in whatever is missing at the end.
"""

from __future__ import annotations

import threading
import time

from charpipe.config.settings.tracking import TrackingConfig
from charpipe.events import Event, Listener, Notice
from charpipe.runs import Run
from charpipe.tracking.client import explain
from charpipe.tracking.location import Location
from charpipe.tracking.upload import Upload

LONGEST_PAUSE = 60.0
RETRY_SECONDS = 1.0
FAILING_SECONDS = 10.0
"""Maximum time for retries at the end of a run while MLflow fails, further limited by the configured patience."""


class MlflowTracker:
    """Tracks one run. `start`, the listener and `finish` never raise; the first failure is reported once."""

    def __init__(self, location: Location, config: TrackingConfig, run: Run, notify: Listener) -> None:
        self.run, self.notify = run, notify
        self._config = config
        self._upload = Upload(location, run, config.experiment)
        self._ending = threading.Event()
        self._news: dict[str, str] | None = None
        self._trouble: str | None = None
        self._warned = False
        self._complete = False
        self._is_abandoned = False
        self._state, self._deadline = "", 0.0
        self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)

    def start(self) -> None:
        """Start the thread; returns at once."""
        self._thread.start()

    def __call__(self, event: Event) -> None:
        """Pass on the thread's messages, in the thread that owns the run's status and the view."""
        self._deliver()

    def _deliver(self) -> None:
        if self._news is not None:
            ids, self._news = self._news, None
            self.run.update(mlflow=ids)
        if self._trouble is not None and not self._warned:
            self._warned = True
            self.notify(Notice(self._trouble, level="warning"))

    def abandon(self) -> None:
        """Log nothing more, not even the end of the run: another process tracks it now."""
        self._is_abandoned = True
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join(self._config.patience)

    def finish(self, state: str) -> bool:
        """Log the end of the run to MLflow: `state` is "finished", "interrupted" or "failed".

        Waits at most the configured patience; returns whether everything was logged.
        """
        if self._thread.ident is None:  # it was never started: nothing to log
            return False
        self._state = state
        self._deadline = time.monotonic() + min(self._config.patience, FAILING_SECONDS)
        self._ending.set()
        self._thread.join(self._config.patience)
        if not self._complete and self._trouble is None:
            self._trouble = self._sentence(f"it takes longer than {self._config.patience:g} s")
        self._deliver()
        return self._complete

    def _work(self) -> None:
        pause, opened = self._config.interval, False
        while True:
            ending = self._ending.is_set()
            if self._is_abandoned:
                return
            try:
                if not opened:
                    self._upload.open()
                    self._news, opened = self._upload.ids, True
                self._upload.metrics()
                self._upload.samples()
                pause = self._config.interval
                if ending:
                    self._upload.close(self._state)
                    self._complete = True
            except Exception as error:
                # errors of MLflow, its database or the network never stop training
                self._trouble = self._trouble or self._sentence(str(explain(error, self._upload.location)))
                opened, pause = False, min(2 * pause, LONGEST_PAUSE)
            if self._complete or (ending and time.monotonic() + RETRY_SECONDS > self._deadline):
                return
            if ending:
                time.sleep(RETRY_SECONDS)
            else:
                self._ending.wait(pause)

    def _sentence(self, reason: str) -> str:
        return f"tracking is incomplete: {reason}; to complete it later, type: charpipe runs sync {self.run.name}"
