"""`compare-architectures`: train architectures on one corpus, and rank them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from shlex import quote
from typing import Any

from charpipe.comparison.configurations import check_match, plan_comparison
from charpipe.comparison.leaderboard import HEAD, LeaderboardEntry, cells_of
from charpipe.comparison.parallel import train_trials
from charpipe.comparison.results import ComparisonResult, conclude
from charpipe.plugin import Table
from charpipe.stages import Context, check_here, encode, ingest, learn_vocabulary
from charpipe_pipelines.options import CompareOptions
from charpipe_pipelines.placement import check_place, place, spread

SPLITS = {"test": "test text", "val": "validation text"}


def recipe(context: Context, options: CompareOptions) -> ComparisonResult:
    """From raw text to a leaderboard."""
    corpus = options.corpus
    context = spread(context, options.runner)
    documents = ingest(context, corpus)
    vocabulary = learn_vocabulary(context, corpus, documents)
    tokens = encode(context, corpus, documents, vocabulary)
    comparison = plan_comparison(
        context, corpus, options.archs, options.widths, options.depths, options.seeds, options.match, tokens
    )
    parallel = place(context, options.runner, options.at_once, len(comparison.trials))
    rows = train_trials(context, comparison, corpus, tokens, vocabulary, parallel)
    return conclude(context, comparison, rows)


def check(context: Context, options: CompareOptions) -> None:
    """Raise if a request is invalid, before anything starts."""
    check_match(context, options.match)
    for arch in options.archs:
        check_here(context, options.corpus, arch)
    check_place(context, options.runner, options.at_once)


def title(options: CompareOptions) -> str:
    """`linux_src rnn, lstm, gru`."""
    return f"{options.corpus} {', '.join(options.archs)}"


def show(result: ComparisonResult, *, dry_run: bool = False) -> Iterator[str | Table]:
    """The closing lines of a comparison, best configuration first."""
    if dry_run:
        return
    entries = result.leaderboard
    yield ""
    yield _table(entries)
    yield ""
    split = SPLITS[entries[0].split] if entries else ""
    seeds = max((one.seeds for one in entries), default=0)
    spread = "; ±: standard deviation over seeds" if seeds > 1 else ""
    yield f"  bits/char: of the whole {split}; losses: nats per token; seconds: of one training{spread}"
    for run in (row.run for row in result.rows if row.worse_than_guessing):
        yield f"  worse than guessing: {run}; for what to set, type: charpipe runs show {run}"
    yield ""
    yield f"  {result.folder}"
    for command, meaning in (
        ("charpipe ui --charts", "their learning curves in one chart"),
        (f"charpipe runs list --corpus {quote(result.corpus)}", "every run"),
    ):
        yield f"  {command:<58} {meaning}"


def _table(entries: Sequence[LeaderboardEntry]) -> Table:
    # the last column also holds the reason why a configuration failed: it follows only after these
    drop = ("seconds", "chars/s", "val loss", "±", "parameters", "test loss")
    return Table(HEAD, [cells_of(one) for one in entries], numbers=HEAD[1:-1], drop=drop)


def __getattr__(name: str) -> Any:
    """The pipeline's Prefect flow, by the name that deployments of earlier releases know."""
    if name == "compare_architectures":
        from charpipe_pipelines.flows import flow_named

        return flow_named("compare-architectures")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
