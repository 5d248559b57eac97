"""`charpipe run reproduce-2015`: the experiments of Karpathy's blog and of Karpathy, Johnson and Fei-Fei's paper."""

from __future__ import annotations

from collections.abc import Iterable

from charpipe.plugin import Pipeline, hookimpl
from charpipe_2015.options import ReproduceOptions


@hookimpl
def charpipe_pipelines() -> Iterable[Pipeline]:
    """The reproduction."""
    yield Pipeline(
        "reproduce-2015",
        "The experiments of the blog and the paper of 2015, scaled to a budget, beside what was published.",
        "charpipe_2015.pipeline:recipe",
        ReproduceOptions,
        check="charpipe_2015.pipeline:check",
        title="charpipe_2015.pipeline:title",
        show="charpipe_2015.pipeline:show",
    )
