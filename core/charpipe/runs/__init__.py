"""Run folders, one per training run: its request, status, metrics and checkpoints."""

from charpipe.runs.find import find_run, list_runs, readable_runs
from charpipe.runs.folder import Run, RunInfo
from charpipe.runs.recorder import Recorder, read_metrics

__all__ = ["Recorder", "Run", "RunInfo", "find_run", "list_runs", "read_metrics", "readable_runs"]
