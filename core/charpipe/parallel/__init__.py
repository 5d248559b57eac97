"""Parallel maps: call a function once for each of many parts of a corpus, in this process or in several others.

A `ParallelMap` is the seam between the stages and what runs their parts. Functions are named by their module, and take
and return JSON, so that any machinery can carry them out; large results are files whose paths are in the arguments.
"""

from typing import TYPE_CHECKING

from charpipe.lazy import names
from charpipe.parallel.mapping import DIRECT, Direct, ParallelMap

if TYPE_CHECKING:
    from charpipe.parallel.processes import Processes, choose_processes, local_processes

__getattr__ = names(
    __name__, {"Processes": "processes", "choose_processes": "processes", "local_processes": "processes"}
)

__all__ = ["DIRECT", "Direct", "ParallelMap", "Processes", "choose_processes", "local_processes"]
