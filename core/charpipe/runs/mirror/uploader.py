"""Push a run to the shared store while it is trained, from a thread that training never waits for before its end."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from charpipe.errors import CharpipeError, LostLeaseError, StoreError
from charpipe.events import Checkpointed, Event, Listener, Notice
from charpipe.runs.folder import Run, step_of
from charpipe.runs.mirror.attempt import Attempt, snapshot

FOLDER = ".pushing"
"""The folder, in a run's, of checkpoints that are still to be pushed."""
RETRY_SECONDS, LONGEST_PAUSE = 1.0, 60.0
FAILING_SECONDS = 10.0
"""Maximum time for retries at the end of a training while the store fails."""


class Uploader:
    """Pushes one run's checkpoints and records.

    Of the checkpoints that are not pushed yet it holds the latest and the best, so that a slow store costs neither
    memory nor time. `open_attempt` begins the attempt if the store did not answer at first; `missing` are checkpoints
    that the store must have at the end and lacks. Between checkpoints the lease is checked all `check_every` seconds.
    """

    def __init__(
        self,
        run: Run,
        url: str,
        attempt: Attempt | None,
        *,
        open_attempt: Callable[[], Attempt],
        missing: Callable[[], Iterable[Path]],
        notify: Listener,
        is_known_lost: bool,
        check_every: float,
    ) -> None:
        self._run, self._url, self._notify, self._check_every = run, url, notify, check_every
        self._attempt, self._open_attempt, self._missing = attempt, open_attempt, missing
        self._due: dict[str, Path] = {}
        """Copies of checkpoints to push, by role."""
        self._current: Path | None = None
        """The copy that is being pushed."""
        self._ending, self._complete = False, False
        self._finished = False
        self._lost: LostLeaseError | None = None
        self.trouble: str | None = None
        """Why something could not be pushed, the first time."""
        self._warned = is_known_lost
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name=f"upload {run.name}", daemon=True)

    def start(self) -> None:
        """Start the thread; returns at once."""
        shutil.rmtree(self._run.folder / FOLDER, ignore_errors=True)
        self._thread.start()

    def __call__(self, event: Event) -> None:
        """Take note of an event. Raises LostLeaseError once another process has taken the run over."""
        if self._lost is not None:
            raise self._lost
        self._warn()
        if isinstance(event, Checkpointed):
            with self._changed:  # else `_clear` would remove the copy before it is due
                copy = snapshot(Path(event.path), self._run.folder / FOLDER)
                self._due |= {"last": copy} | ({"best": copy} if event.best else {})
                self._clear()
                self._changed.notify()

    def finish(self) -> bool:
        """Push what is left, as long as the store answers; returns whether it has all of the run now.

        Raises LostLeaseError if another process has taken the run over.
        """
        if self._finished:
            return self._complete
        self._finished = True
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._thread.join()
        shutil.rmtree(self._run.folder / FOLDER, ignore_errors=True)
        if self._attempt is not None:
            self._attempt.release()
        if self._lost is not None:
            raise self._lost
        if not self._complete:
            self._notify_of_missing()
        return self._complete

    def _warn(self) -> None:
        """Tell of the first failure, in the thread that training runs in."""
        if self.trouble is not None and not self._warned:
            self._warned = True
            self._notify(
                Notice(f"{self.trouble}; training goes on, and what it makes is pushed later", "warning")
            )

    def _notify_of_missing(self) -> None:
        """Tell that the store has not got all, with the reason if it was not told before."""
        is_known, self._warned = self._warned, True
        reason = "" if is_known else f"{self.trouble}; "
        self._notify(
            Notice(
                f"{reason}{self._run.name} is not whole in {self._url}; it is kept here, and the next command pushes "
                f"it; to do that now, type: charpipe runs sync {self._run.name}",
                "info" if is_known else "warning",
            )
        )

    def _work(self) -> None:
        pause, failing_since = RETRY_SECONDS, 0.0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._due or self._ending, self._check_every)
                ending = self._ending
            try:
                self._push(ending)
                pause = RETRY_SECONDS
                if ending:
                    self._complete = True
                    return
                continue
            except LostLeaseError as error:
                self._lost = error
                return
            except (CharpipeError, OSError) as error:
                self.trouble = self.trouble or _sentence(error, self._url)
            except Exception as error:  # what a storage library raises must not end the thread silently
                self.trouble = self.trouble or _sentence(error, self._url)
            if ending:
                failing_since = failing_since or time.monotonic()
                if time.monotonic() - failing_since + RETRY_SECONDS > FAILING_SECONDS:
                    return
                time.sleep(RETRY_SECONDS)
            else:
                with self._changed:
                    self._changed.wait_for(lambda: self._ending, pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    def _push(self, ending: bool) -> None:
        if self._attempt is None:
            self._attempt = self._open_attempt()
        self._attempt.check()
        pushed = False
        while (copy := self._next()) is not None:
            self._attempt.push_checkpoint(copy, step_of(copy))
            self._done(copy)
            pushed = True
        for path in self._missing() if ending else ():
            self._attempt.push_checkpoint(path, step_of(path))
        if pushed or ending:
            self._attempt.push_records()
            self._attempt.keep_only({step_of(path) for path in self._run.checkpoints.glob("step-*")})

    def _next(self) -> Path | None:
        """The checkpoint to push next: the latest first, which is the one to resume from."""
        with self._changed:
            self._current = self._due.get("last") or self._due.get("best")
            return self._current

    def _done(self, copy: Path) -> None:
        with self._changed:
            self._due = {role: path for role, path in self._due.items() if path != copy}
            self._current = None
            self._clear()

    def _clear(self) -> None:
        """Remove the copies that are not needed any more."""
        for path in (self._run.folder / FOLDER).glob("step-*"):
            if path != self._current and path not in self._due.values():
                shutil.rmtree(path, ignore_errors=True)


def _sentence(error: Exception, url: str) -> str:
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    return reason if isinstance(error, StoreError) else f"{url} fails ({type(error).__name__}: {reason})"
