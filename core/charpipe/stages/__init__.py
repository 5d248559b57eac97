"""The stages of pipelines, one module per stage; the context they share; the executor that runs them.

A stage is a typed function. It checks whether its work is already done, does it if not, and returns a small value.
Stages do not know Prefect or the terminal: they report events to the context's listener.
"""

from charpipe.stages.computation import WouldRun
from charpipe.stages.context import Context
from charpipe.stages.disk_space import check_workspace_disk
from charpipe.stages.encode import encode
from charpipe.stages.evaluate import EvaluationResult, evaluate
from charpipe.stages.executors import DIRECT, Executor, Parallel
from charpipe.stages.ingest import ingest
from charpipe.stages.objects import StageOutput
from charpipe.stages.plan import TrainRequest, check, check_device, check_here
from charpipe.stages.promote import Promotion, promote
from charpipe.stages.refresh import Retraining, refresh
from charpipe.stages.report import RetrainingVerdict, report
from charpipe.stages.sample import Sample, sample
from charpipe.stages.skip import Unchanged, skip
from charpipe.stages.stage import Retry, Stage, registered, stage
from charpipe.stages.stop import Stop
from charpipe.stages.train import TrainedRun, train
from charpipe.stages.vocabulary import learn_vocabulary
from charpipe.stages.warm_start import WarmStart, find_warm_start

__all__ = [
    "DIRECT",
    "Context",
    "EvaluationResult",
    "Executor",
    "Parallel",
    "Promotion",
    "Retraining",
    "RetrainingVerdict",
    "Retry",
    "Sample",
    "Stage",
    "StageOutput",
    "Stop",
    "TrainRequest",
    "TrainedRun",
    "Unchanged",
    "WarmStart",
    "WouldRun",
    "check",
    "check_device",
    "check_here",
    "check_workspace_disk",
    "encode",
    "evaluate",
    "find_warm_start",
    "ingest",
    "learn_vocabulary",
    "promote",
    "refresh",
    "registered",
    "report",
    "sample",
    "skip",
    "stage",
    "train",
]
