"""Comparisons of architectures: the configurations to train, the matching of their widths, and the leaderboard."""

from charpipe.comparison.configurations import check_match, configured, is_sized, plan_comparison
from charpipe.comparison.leaderboard import (
    LeaderboardEntry,
    Row,
    baseline_rows,
    leaderboard,
    table,
    write_csv,
)
from charpipe.comparison.matching import Matched, match_parameters
from charpipe.comparison.parallel import check_at_once, map_trials, plan_parallel, train_trials
from charpipe.comparison.publication import Curve, comparison_folder, publish_board, validation_curve
from charpipe.comparison.results import ComparisonResult, conclude
from charpipe.comparison.training import row_of, train_trial
from charpipe.comparison.trials import Comparison, Trial, trials
from charpipe.tracking.comparisons import Board

__all__ = [
    "Board",
    "Comparison",
    "ComparisonResult",
    "Curve",
    "LeaderboardEntry",
    "Matched",
    "Row",
    "Trial",
    "baseline_rows",
    "check_at_once",
    "check_match",
    "comparison_folder",
    "conclude",
    "configured",
    "is_sized",
    "leaderboard",
    "map_trials",
    "match_parameters",
    "plan_comparison",
    "plan_parallel",
    "publish_board",
    "row_of",
    "table",
    "train_trial",
    "train_trials",
    "trials",
    "validation_curve",
    "write_csv",
]
