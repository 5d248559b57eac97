"""The stages of a pipeline as plain functions: ingest, vocabulary, encode, train, evaluate, sample.

Each finds out whether its work is done already, does it if not, and returns a small value that names what
there is now. They know no Prefect and no terminal: they tell a session's listener what happens.
"""

from charpipe.stages.beginning import Beginning, find_beginning
from charpipe.stages.data import encode, ingest, learn_vocabulary
from charpipe.stages.outcome import evaluate, sample
from charpipe.stages.plan import TrainRequest, check, check_here
from charpipe.stages.promote import Promotion, promote
from charpipe.stages.retraining import Night, conclude, refresh, skip
from charpipe.stages.session import Made, Session
from charpipe.stages.train import TrainedRun, train

__all__ = [
    "Beginning",
    "Made",
    "Night",
    "Promotion",
    "Session",
    "TrainRequest",
    "TrainedRun",
    "check",
    "check_here",
    "conclude",
    "encode",
    "evaluate",
    "find_beginning",
    "ingest",
    "learn_vocabulary",
    "promote",
    "refresh",
    "sample",
    "skip",
    "train",
]
