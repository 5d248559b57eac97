"""charpipe: character-level recurrent language models, from raw text to samples.

    import charpipe

    run = charpipe.train("hello", arch="rnn", settings={"architectures.rnn.hidden_size": 3})
    print(run.sample, run.metrics)
    model = charpipe.load(run.name)

Importing this package imports none of the heavy libraries behind it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from charpipe.api import Trained, load, train
    from charpipe.errors import CharpipeError

_ROOMS = {"CharpipeError": "errors", "Trained": "api", "load": "api", "train": "api"}


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["CharpipeError", "Trained", "load", "train"]
