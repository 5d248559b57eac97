"""charpipe: character-level recurrent language models, from raw text to samples.

    import charpipe

    run = charpipe.train("hello", arch="rnn", settings={"architectures.rnn.hidden_size": 3})
    print(run.sample, run.metrics)
    model = charpipe.load(run.name)

Importing this package imports none of the heavy libraries behind it.
"""

from typing import TYPE_CHECKING

from charpipe.lazy import names
from charpipe.openmp import limit_spinning

if TYPE_CHECKING:
    from charpipe.api import compare, load, train
    from charpipe.errors import CharpipeError
    from charpipe.inspecting import Inspection, inspect
    from charpipe.reports import report
    from charpipe.results import Compared, Leaderboard, Trained

limit_spinning()

__getattr__ = names(
    __name__,
    {
        "CharpipeError": "errors",
        "Compared": "results",
        "Inspection": "inspecting",
        "Leaderboard": "results",
        "Trained": "results",
        "compare": "api",
        "inspect": "inspecting",
        "load": "api",
        "report": "reports",
        "train": "api",
    },
)


__all__ = [
    "CharpipeError",
    "Compared",
    "Inspection",
    "Leaderboard",
    "Trained",
    "compare",
    "inspect",
    "load",
    "report",
    "train",
]


def __dir__() -> list[str]:
    """The public names too, although they are imported when they are first used."""
    return sorted({*globals(), *__all__})
