"""`charpipe doctor`: what is installed and reachable, as findings, each with what mends it.

A check is a function in a module of its own, and any plugin may provide one (`charpipe_checks`).
"""

from charpipe.diagnostics.examination import Diagnosis, examine
from charpipe.diagnostics.surroundings import Surroundings, look_around
from charpipe.plugins.contracts import Finding

__all__ = ["Diagnosis", "Finding", "Surroundings", "examine", "look_around"]
