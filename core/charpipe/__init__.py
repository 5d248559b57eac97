"""charpipe: character-level recurrent language models, from raw text to samples.

    import charpipe

    run = charpipe.train("hello", arch="rnn", settings={"architectures.rnn.hidden_size": 3})
    print(run.sample, run.metrics)
    model = charpipe.load(run.name)

Importing this package imports none of the heavy libraries behind it.
"""

from typing import TYPE_CHECKING

from charpipe.lazy import names

if TYPE_CHECKING:
    from charpipe.api import Trained, load, train
    from charpipe.errors import CharpipeError
    from charpipe.inspecting import Inspection, inspect
    from charpipe.reports import report

__getattr__ = names(
    __name__,
    {
        "CharpipeError": "errors",
        "Inspection": "inspecting",
        "Trained": "api",
        "inspect": "inspecting",
        "load": "api",
        "report": "reports",
        "train": "api",
    },
)


__all__ = ["CharpipeError", "Inspection", "Trained", "inspect", "load", "report", "train"]
