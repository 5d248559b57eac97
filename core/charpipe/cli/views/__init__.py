"""What is seen while a pipeline works: a live picture on a terminal, plain lines elsewhere, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from charpipe.cli.views.base import View
from charpipe.cli.views.jsonlines import JsonLinesView
from charpipe.cli.views.live import LiveView
from charpipe.cli.views.plain import PlainView
from charpipe.cli.views.progress import Progress


def open_view(
    *, json: bool, pipeline: str, options: Mapping[str, Any], stages: Iterable[str] = ()
) -> AbstractContextManager[View]:
    """The view that fits where output goes."""
    if json:
        return JsonLinesView()
    progress = Progress(pipeline, str(options.get("corpus", "")))
    progress.plan(stages)
    if sys.stdout.isatty():
        return LiveView(progress)
    return PlainView(progress)


__all__ = ["View", "open_view"]
