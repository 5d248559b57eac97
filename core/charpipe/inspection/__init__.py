"""Record the activations of a model's units on a text, and find the units that are interpretable."""

from charpipe.inspection.activations import Reading, read
from charpipe.inspection.search import Finding, Scored, Search, search
from charpipe.inspection.segments import MIN_SEARCHED
from charpipe.inspection.signals import SIGNALS, Signal, measure
from charpipe.inspection.units import Group, Unit, groups

__all__ = [
    "MIN_SEARCHED",
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
