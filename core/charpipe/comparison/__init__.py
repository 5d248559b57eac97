"""Comparisons of architectures: the configurations to train, the matching of their widths, and the leaderboard."""

from charpipe.comparison.configurations import check_match, configured, is_sized, settle
from charpipe.comparison.leaderboard import Row, Standing, baseline_rows, leaderboard, table, write_csv
from charpipe.comparison.matching import Matched, match_parameters
from charpipe.comparison.reproduced import ReproductionResult, tabulate
from charpipe.comparison.reproducing import check_reproduction, divide, prepare, reproduce, results_of
from charpipe.comparison.reproduction import Result
from charpipe.comparison.results import ComparisonResult, conclude
from charpipe.comparison.training import row_of, train_trial
from charpipe.comparison.trials import Comparison, Trial, trials

__all__ = [
    "Comparison",
    "ComparisonResult",
    "Matched",
    "ReproductionResult",
    "Result",
    "Row",
    "Standing",
    "Trial",
    "baseline_rows",
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
    "train_trial",
    "trials",
    "write_csv",
]
