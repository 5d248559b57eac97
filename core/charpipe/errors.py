"""The exception hierarchy. Each message says what is wrong, what was kept and what to type next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, Protocol


class CharpipeError(Exception):
    """Base class of errors with a message for the user. The command line prints it and exits with `exit_code`."""

    exit_code = 1


class UsageError(CharpipeError):
    """The request is invalid: an unknown name, a wrong type, a bad flag."""

    exit_code = 2


class OwnershipError(CharpipeError):
    """A project file or plugin belongs to another user, and is not executed."""


class CorpusError(CharpipeError):
    """A corpus cannot be found, fetched, verified or read."""


class NoFilesError(CorpusError):
    """A corpus holds no file, or none that its patterns include."""


class RefreshError(CorpusError):
    """A source that was fetched before cannot be reached again; what was fetched is kept."""


class StoreError(CharpipeError):
    """A stage's result is missing, damaged or written by something else."""


class StoreAccessError(StoreError):
    """A shared store refuses: wrong credentials, no such bucket or folder, no conditional writes, another clock."""


class StoreUnreachableError(StoreError):
    """A shared store does not answer. What was made is kept in this workspace."""


class LostLeaseError(StoreError):
    """This process no longer owns what it works on: another one took over. It must write nothing more."""


class PluginError(CharpipeError):
    """A requested plugin could not be loaded or broke its contract."""


class RunError(CharpipeError):
    """A run or one of its checkpoints is missing, damaged or incompatible."""


class TrainingError(CharpipeError):
    """Training cannot continue: a loss that is not finite, or out of memory."""


class InterruptedRun(CharpipeError):  # noqa: N818  it is no error
    """Stopped by a signal after saving; exits with 128 + the signal's number."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


class JsonResult(Protocol):
    """The result of a pipeline; see `charpipe.plugin.PipelineResult`."""

    def to_json(self) -> dict[str, Any]: ...


class Incomplete(CharpipeError):  # noqa: N818  it is an error in part
    """Part of the work failed; `result` is the result of the rest, and is still printed."""

    def __init__(self, message: str, result: JsonResult) -> None:
        super().__init__(message)
        self.result = result


def near_match(name: str, candidates: Iterable[str]) -> str:
    """`"; did you mean 'lstm'?"` where a candidate is close to `name`, else the candidates, else nothing."""
    known = sorted(candidates)
    plain = {one.removeprefix("./"): one for one in known}  # a corpus in the project folder
    close = difflib.get_close_matches(name.removeprefix("./"), plain, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {plain[close[0]]!r}?"
    return f"; known: {', '.join(known)}" if known else ""


def one_line(error: Exception) -> str:
    """An error in one line of at most 300 characters; one that is not charpipe's own with its type."""
    text = " ".join(str(error).split())[:300]
    return (
        text if isinstance(error, CharpipeError) and text else f"{type(error).__name__}: {text}".rstrip(": ")
    )
