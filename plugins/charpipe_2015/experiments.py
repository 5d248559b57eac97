"""The experiments of 2015: Karpathy's blog ("The Unreasonable Effectiveness of Recurrent Neural Networks") and the
paper of Karpathy, Johnson and Fei-Fei ("Visualizing and Understanding Recurrent Networks").

Each setting has its source. The paper's own text could not be checked: if it is quoted from other sources,
`unchecked` says so, and every experiment has `notes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from charpipe.comparison import Trial, trials

SIZES, LAYERS = (64, 128, 256, 512), (1, 2, 3)
"""The paper's grid: units of the LSTM in each layer, and layers."""
RECURRENT = ("lstm", "rnn", "gru")
"""The others get as many parameters as the first."""
COUNTED = "ngram"

CHAR_RNN: Mapping[str, Any] = {
    "optimizer": "rmsprop",
    "learning_rate": 2e-3,
    "decay": 0.95,
    "momentum": 0.0,
    "weight_decay": 0.0,
    "schedule": "by-epoch",
    "warmup": 0.0,
    "epoch_decay": 0.97,
    "epoch_decay_after": 10.0,
    "max_epochs": 50.0,
    "loss": "sum",
    "clip": 5.0,
    "clip_by": "value",
    "average": 0.0,
    "batch_size": 50,
    "window": 50,
    "precision": "float32",
}
"""The defaults of char-rnn's train.lua, the blog's program, for everything that the blog does not say."""

HUNDREDS = {"batch_size": 100, "window": 100}
"""The blog: "batches of 100 examples and truncated backpropagation through time of length 100 characters"."""

NETWORK: Mapping[str, Any] = {
    "initialisation": "char-rnn",
    "embedding_size": 0,
    "dropout": 0.0,
    "recurrent_dropout": 0.0,
}
"""train.lua: initial weights uniform within 0.08, forget biases 1, characters one-hot, no dropout."""


@dataclass(frozen=True)
class Experiment:
    """What was trained on one text. `corpus` is its name in the catalogue, which may lack it; `corpus_settings`
    override that entry, `train` and `tables` (by architecture) the settings of the command. `quantities` are the
    metrics to report."""

    source: str
    text: str
    corpus: str
    archs: tuple[str, ...]
    sizes: tuple[int, ...]
    layers: tuple[int, ...]
    train: Mapping[str, Any]
    tables: Mapping[str, Mapping[str, Any]]
    quantities: tuple[str, ...] = ("val/loss",)
    corpus_settings: Mapping[str, Any] = field(default_factory=dict)
    match: Literal["parameters", "units"] = "units"
    """With "parameters", widths are chosen to give every model as many parameters as the LSTM of that size."""
    notes: str = ""

    @property
    def trials(self) -> list[Trial]:
        """The models as named in 2015, before their widths are matched."""
        return trials(self.archs, RECURRENT, self.sizes, self.layers, [0])

    @property
    def title(self) -> str:
        """`blog: tiny_shakespeare`."""
        return f"{self.source}: {self.corpus}"


def experiments(
    sources: Sequence[str], sizes: Sequence[int] = SIZES, layers: Sequence[int] = LAYERS
) -> list[Experiment]:
    """The paper's experiments, with these LSTM sizes and depths of its grid, and the blog's."""
    found: list[Experiment] = []
    if "paper" in sources:
        found += _paper(sizes, layers)
    if "blog" in sources:
        found += _blog()
    return found


def _paper(sizes: Sequence[int], layers: Sequence[int]) -> list[Experiment]:
    bytes_in_tenths = {
        "encoding": "latin-1",  # one character per byte: 87 of them in War and Peace
        "tokenizer": {"name": "char"},
        "split": {"train": 0.8, "val": 0.1, "test": 0.1, "by": "contiguous"},
    }
    shared: dict[str, Any] = {
        "source": "paper",
        "train": {**CHAR_RNN, **HUNDREDS, "epoch_decay": 0.95},
        "tables": _tables(NETWORK) | {"ngram": {"order": 20}},
        "quantities": ("test/loss",),
        "corpus_settings": bytes_in_tenths,
        "sizes": tuple(sizes),
        "layers": tuple(layers),
        "match": "parameters",
        "notes": "dropout, chosen for each model there, is none here",
    }
    return [
        Experiment(text="War and Peace", corpus="war_and_peace", archs=(*RECURRENT, COUNTED), **shared),
        Experiment(text="Linux kernel, the 6 MB file", corpus="linux_kernel", archs=RECURRENT, **shared),
    ]


def _blog() -> list[Experiment]:
    def one(text: str, corpus: str, layers: int, size: int, notes: str = "", **changes: Any) -> Experiment:
        settings: dict[str, Any] = {"train": {**CHAR_RNN, **HUNDREDS}, "tables": _tables(NETWORK)} | changes
        return Experiment("blog", text, corpus, ("lstm",), (size,), (layers,), notes=notes, **settings)

    dropped = _tables({**NETWORK, "dropout": 0.5})
    unsaid = "the blog gives no model: char-rnn's"
    return [
        one("Paul Graham's essays, 1 MB", "paul_graham", 2, 512, tables=dropped),
        one(
            "Shakespeare",
            "tiny_shakespeare",
            3,
            512,
            "the blog had all works, 4.4 MB; here the 1.1 MB excerpt",
        ),
        one(
            "Wikipedia, 100 MB",
            "wikipedia",
            2,
            128,
            unsaid,
            corpus_settings={"split": {"train": 0.96, "val": 0.04, "test": 0.0, "by": "contiguous"}},
        ),
        one("algebraic geometry in LaTeX, 16 MB", "algebraic_geometry", 2, 128, unsaid),
        one(
            "Linux source",
            "linux_src",
            3,
            688,
            "the blog had 474 MB and about 10 million parameters; here a later kernel",
        ),
        one(
            "names",
            "names",
            2,
            128,
            f"{unsaid}; its list had 8,000 names, this one has others",
            train=dict(CHAR_RNN),
            quantities=("val/loss", "sample/novel_share"),
        ),
    ]


def _tables(settings: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {**dict.fromkeys(RECURRENT, settings), "lstm": {**settings, "forget_bias": 1.0}}
