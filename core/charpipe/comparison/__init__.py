"""Architectures side by side: which configurations are trained, how their widths are matched, and the leaderboard."""

from charpipe.comparison.cells import Cell, cells
from charpipe.comparison.leaderboard import Row, Standing, leaderboard, table, write_csv
from charpipe.comparison.matching import Matched, match_parameters

__all__ = [
    "Cell",
    "Matched",
    "Row",
    "Standing",
    "cells",
    "leaderboard",
    "match_parameters",
    "table",
    "write_csv",
]
