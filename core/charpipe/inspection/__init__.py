"""Record the activations of a model's units on a text, find the units that are interpretable, and measure what they
are worth."""

from charpipe.inspection.ablation import Ablation, Ablations, Rise, ablate
from charpipe.inspection.activations import Reading, read
from charpipe.inspection.findings import Finding, Scored, Search, detectors
from charpipe.inspection.search import search
from charpipe.inspection.segments import MIN_SEARCHED
from charpipe.inspection.signals import SIGNALS, Signal, measure
from charpipe.inspection.sparse_probe import SparseProbe
from charpipe.inspection.units import Group, Unit, groups

__all__ = [
    "MIN_SEARCHED",
    "SIGNALS",
    "Ablation",
    "Ablations",
    "Finding",
    "Group",
    "Reading",
    "Rise",
    "Scored",
    "Search",
    "Signal",
    "SparseProbe",
    "Unit",
    "ablate",
    "detectors",
    "groups",
    "measure",
    "read",
    "search",
]
