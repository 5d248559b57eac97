"""charpipe: character-level recurrent language models, from raw text to samples.

    import charpipe

    run = charpipe.train("hello", arch="rnn", settings={"architectures.rnn.hidden_size": 3})
    print(run.sample, run.metrics)
    model = charpipe.load(run.name)

Importing this package imports none of the heavy libraries behind it.
"""

from typing import TYPE_CHECKING

from charpipe.kernels.openmp import limit_spinning
from charpipe.lazy import EarlierModules, names

if TYPE_CHECKING:
    from charpipe.api.compare import compare
    from charpipe.api.doctor import doctor
    from charpipe.api.export import export
    from charpipe.api.inspect import Inspection, inspect
    from charpipe.api.load import load
    from charpipe.api.passages import PassageMatches, find_passages
    from charpipe.api.project import add_corpus, init
    from charpipe.api.report import report
    from charpipe.api.results import Compared, Leaderboard, Swept, Trained
    from charpipe.api.sweep import sweep
    from charpipe.api.train import train
    from charpipe.diagnostics import Diagnosis
    from charpipe.errors import CharpipeError

limit_spinning()
EarlierModules(
    {
        "charpipe.library": "charpipe.models.loaded",
        "charpipe.registry": "charpipe.plugins.registry",
        "charpipe.generation.settings": "charpipe.config.settings.sampling",
    }
).install()

__getattr__ = names(
    __name__,
    {
        "CharpipeError": "errors",
        "Compared": "api.results",
        "Diagnosis": "diagnostics",
        "Inspection": "api.inspect",
        "Leaderboard": "api.results",
        "PassageMatches": "api.passages",
        "Swept": "api.results",
        "Trained": "api.results",
        "add_corpus": "api.project",
        "compare": "api.compare",
        "doctor": "api.doctor",
        "export": "api.export",
        "find_passages": "api.passages",
        "init": "api.project",
        "inspect": "api.inspect",
        "load": "api.load",
        "report": "api.report",
        "sweep": "api.sweep",
        "train": "api.train",
    },
)


__all__ = [
    "CharpipeError",
    "Compared",
    "Diagnosis",
    "Inspection",
    "Leaderboard",
    "PassageMatches",
    "Swept",
    "Trained",
    "add_corpus",
    "compare",
    "doctor",
    "export",
    "find_passages",
    "init",
    "inspect",
    "load",
    "report",
    "sweep",
    "train",
]


def __dir__() -> list[str]:
    """The public names too, although they are imported when they are first used."""
    return sorted({*globals(), *__all__})
