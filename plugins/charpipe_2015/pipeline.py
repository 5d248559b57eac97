"""`reproduce-2015`: the recipe, its checks, and the way its table is shown."""

from __future__ import annotations

from collections.abc import Iterator

from charpipe.plugin import Table
from charpipe.stages import Context
from charpipe_2015.options import ReproduceOptions
from charpipe_2015.plan import divide
from charpipe_2015.preparation import check_reproduction, prepare
from charpipe_2015.results import ReproductionResult, tabulate
from charpipe_2015.table import Result, caveats, cells_of, head
from charpipe_2015.training import reproduce, results_of


def recipe(context: Context, options: ReproduceOptions) -> ReproductionResult:
    """From the texts of 2015 to a results table."""
    planned = divide(context, options.sources, options.widths, options.depths, options.copies)
    results: list[Result] = []
    for share in planned.shares:
        prepared = prepare(context, share)
        found = [one for model in prepared.models for one in reproduce(context, model, planned.name)]
        results += results_of(prepared, found)
    return tabulate(context, planned, results)


def check(context: Context, options: ReproduceOptions) -> None:
    """Raise if a request is invalid, before anything starts."""
    check_reproduction(context, options.sources, options.widths, options.depths, options.copies)


def title(options: ReproduceOptions) -> str:
    """`2015: paper,blog`."""
    return f"2015: {options.experiments}"


def show(result: ReproductionResult, *, dry_run: bool = False) -> Iterator[str | Table]:
    """The closing lines of a reproduction."""
    columns = head(result.scaled_to)
    numbers = tuple(columns[number] for number in (2, 4, 5))
    rows = [cells_of(one) for one in result.results]
    yield ""
    yield Table(columns, rows, numbers, drop=("parameters",), whole=("model",))
    yield ""
    yield f"  here: on this machine, {result.scaled_to}; published: trained for as long as it took in 2015."
    yield "  A published figure that could not be checked is blank."
    for line in caveats(result.results):
        yield f"  {line}"
    if result.folder:
        yield ""
        yield f"  {result.folder}"
        yield f"  {'charpipe ui --charts':<58} see how they learnt, over each other"
