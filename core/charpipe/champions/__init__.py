"""Champions: the promoted model of each corpus, its predecessors, and an audit log of every decision.

The workspace is the source of truth; MLflow's registry follows it. Reading champions does not import torch.
"""

from typing import TYPE_CHECKING

from charpipe.champions.audit import decisions
from charpipe.champions.records import Champion, champion, corpora, kept, previous, versions
from charpipe.champions.state import Version
from charpipe.config.settings.promotion import PromotionConfig
from charpipe.lazy import names

if TYPE_CHECKING:
    from charpipe.champions.decision import Decision, decide
    from charpipe.champions.held_out import HeldOut, held_out
    from charpipe.champions.promotion import Candidate, promote, roll_back

__getattr__ = names(
    __name__,
    {
        "Candidate": "promotion",
        "Decision": "decision",
        "HeldOut": "held_out",
        "decide": "decision",
        "held_out": "held_out",
        "promote": "promotion",
        "roll_back": "promotion",
    },
)

__all__ = [
    "Candidate",
    "Champion",
    "Decision",
    "HeldOut",
    "PromotionConfig",
    "Version",
    "champion",
    "corpora",
    "decide",
    "decisions",
    "held_out",
    "kept",
    "previous",
    "promote",
    "roll_back",
    "versions",
]
