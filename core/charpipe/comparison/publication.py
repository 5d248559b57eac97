"""Where the files of a comparison are, and how its table gets to MLflow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from charpipe.errors import CharpipeError
from charpipe.reports.history import Point, read_history
from charpipe.runs import Run
from charpipe.stages import Context
from charpipe.tracking import locate
from charpipe.tracking.comparisons import Board, publish

AGAIN = "later, the same command again brings it there"

Curve = Sequence[Point]


def comparison_folder(context: Context, name: str) -> Path:
    """The folder of a comparison's files in the workspace."""
    return context.workspace.root / "comparisons" / name


def validation_curve(run: Run) -> Curve:
    """A run's validation bits per character."""
    return read_history(run).curve("val/bits_per_char")


def publish_board(context: Context, what: str, board: Callable[[], Board]) -> None:
    """Publish a board to MLflow, if tracking is enabled. Errors are reported but fail nothing; `what` is the board's
    name in the message."""
    tracking = context.config.tracking
    if not tracking.enabled:
        return
    if context.publishing.is_lost:  # the reason was reported already
        context.notice(f"the {what} is not in MLflow; {AGAIN}")
        return
    try:
        publish(locate(tracking, context.workspace.mlflow), board())
    except CharpipeError as error:
        context.notice(f"{error}; {AGAIN}", level="warning")
