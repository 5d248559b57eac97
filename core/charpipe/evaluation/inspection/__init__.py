"""What a model's units do while it reads, and which of them a person can interpret."""

from charpipe.evaluation.inspection.lanes import LEAST_SEARCHED
from charpipe.evaluation.inspection.reading import Reading, read
from charpipe.evaluation.inspection.search import Finding, Scored, Search, search
from charpipe.evaluation.inspection.signals import SIGNALS, Signal, measure
from charpipe.evaluation.inspection.units import Group, Unit, groups

__all__ = [
    "LEAST_SEARCHED",
    "SIGNALS",
    "Finding",
    "Group",
    "Reading",
    "Scored",
    "Search",
    "Signal",
    "Unit",
    "groups",
    "measure",
    "read",
    "search",
]
