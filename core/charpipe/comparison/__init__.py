"""Architectures side by side: which configurations are trained, how their widths are matched, and the leaderboard."""

from charpipe.comparison.cells import Cell, Comparison, cells
from charpipe.comparison.concluding import conclude
from charpipe.comparison.leaderboard import Row, Standing, baseline_rows, leaderboard, table, write_csv
from charpipe.comparison.matching import Matched, match_parameters
from charpipe.comparison.reproduced import tabulate
from charpipe.comparison.reproducing import check_reproduction, divide, prepare, reproduce, results_of
from charpipe.comparison.reproduction import Result
from charpipe.comparison.settling import check_match, configured, is_sized, settle
from charpipe.comparison.training import row_of, train_cell

__all__ = [
    "Cell",
    "Comparison",
    "Matched",
    "Result",
    "Row",
    "Standing",
    "baseline_rows",
    "cells",
    "check_match",
    "check_reproduction",
    "conclude",
    "configured",
    "divide",
    "is_sized",
    "leaderboard",
    "match_parameters",
    "prepare",
    "reproduce",
    "results_of",
    "row_of",
    "settle",
    "table",
    "tabulate",
    "train_cell",
    "write_csv",
]
