"""The options of the pipelines: each field becomes a flag of `charpipe run`.

They stand apart from the recipes, since every command line reads them, and importing the stages takes time.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from charpipe.plugin import NUMBER_LIST, Options, comma_separated
from charpipe.store.paths import printable
from charpipe.store.secrets import SecretInUrlError, find_secret, without_secret


def _as_text(value: Any) -> Any:
    return printable(value) if isinstance(value, str) else value


CorpusName = Annotated[str, BeforeValidator(_as_text)]
"""A name, path or URL; the bytes of a path that are not UTF-8 are escaped, so that Prefect and JSON can hold it."""


AtOnce = Annotated[
    int | None,
    Field(
        ge=1,
        le=1024,
        description="trials at a time, each in a process of its own with its share of the cores; unset: 1, on Ray as "
        "many as there is room for",
    ),
]
Runner = Annotated[
    Literal["local", "ray"],
    Field(description="where trials run: local, this machine; ray, the cluster of [cluster] ray"),
]
TrainingRunner = Annotated[
    Literal["local", "ray"],
    Field(description="where the training runs: local, this machine; ray, the cluster of [cluster] ray"),
]
Workers = Annotated[
    int,
    Field(
        ge=1,
        le=1024,
        description="with --runner ray: workers that train together, fewer where there is no room for them; "
        "train.shards is a multiple of it",
    ),
]


class TrainAndSampleOptions(Options):
    """What `train-and-sample` is asked for."""

    corpus: CorpusName = Field(
        description="a corpus of pipelines.toml, a file, a folder, an archive or a URL"
    )
    arch: str = Field("lstm", description="the architecture: see `charpipe plugins list`")
    from_: str | None = Field(None, description="a run, or champion:CORPUS, to start from its weights")
    replay: str | None = Field(
        None,
        description="a finished run whose steps and learning rates are repeated, however long that takes",
    )
    runner: TrainingRunner = "local"
    workers: Workers = 1

    @property
    def recorded(self) -> dict[str, Any]:
        """What `charpipe resume` repeats: who trains is none of it."""
        return self.model_dump(mode="json", exclude={"runner", "workers"})


class CompareOptions(Options):
    """What `compare-architectures` is asked for."""

    corpus: CorpusName = Field(
        description="a corpus of pipelines.toml, a file, a folder, an archive or a URL"
    )
    arch: str = Field(
        "rnn,lstm,gru",
        description="architectures, separated by commas; sizes are those of the first",
    )
    sizes: str = Field("128", description="units in each layer, separated by commas")
    layers: str = Field("1", description="numbers of stacked layers, separated by commas")
    match: Literal["parameters", "units", "time"] = Field(
        "parameters",
        description="what is equal: parameters (other widths are solved for), units, or units and training time",
    )
    seeds: int = Field(1, ge=1, le=100, description="trainings of each configuration, from train.seed on")
    at_once: AtOnce = None
    runner: Runner = "local"

    @field_validator("arch")
    @classmethod
    def _names(cls, value: str) -> str:
        if not all(comma_separated(value)):
            raise ValueError("write names of architectures, separated by commas: rnn,lstm")
        return value

    @field_validator("sizes", "layers")
    @classmethod
    def _numbers(cls, value: str) -> str:
        if not re.fullmatch(NUMBER_LIST, value):
            raise ValueError("write whole numbers from 1 to 99999, separated by commas: 64,128")
        return value

    @property
    def archs(self) -> list[str]:
        return comma_separated(self.arch)

    @property
    def widths(self) -> list[int]:
        return [int(size) for size in comma_separated(self.sizes)]

    @property
    def depths(self) -> list[int]:
        return [int(depth) for depth in comma_separated(self.layers)]


class RetrainOptions(Options):
    """What `retrain` is asked for."""

    corpus: CorpusName = Field(
        description="a corpus of pipelines.toml, a file, a folder, an archive or a URL"
    )
    arch: str = Field("lstm", description="the architecture: see `charpipe plugins list`")
    start: Literal["champion", "fresh"] = Field(
        "champion", description="initial weights: those of the champion, or new ones"
    )


class SweepOptions(Options):
    """What `sweep` is asked for."""

    corpus: CorpusName = Field(
        description="a corpus of pipelines.toml, a file, a folder, an archive or a URL"
    )
    arch: str = Field("lstm", description="the architecture: see `charpipe plugins list`")
    space: list[str] = Field(
        default_factory=list,
        description="a setting to vary, and its values: KEY=LOW..HIGH, KEY=LOW..HIGH:log, KEY=LOW..HIGH:STEP or "
        "KEY=A,B,C; may be repeated",
    )
    trials: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="trials in all, with those of earlier commands; unset: 20, with --sampler grid all",
    )
    sampler: Literal["tpe", "random", "gp", "grid"] = Field(
        "tpe",
        description="how Optuna chooses settings: by a tree of Parzen estimators, at random, by a Gaussian "
        "process, or all combinations",
    )
    pruner: Literal["none", "median", "hyperband", "halving"] = Field(
        "median", description="how Optuna ends hopeless trials early, by their validation loss"
    )
    storage: str | None = Field(
        None,
        description="a database for Optuna, postgresql+psycopg2://HOST/NAME; unset: a file in the workspace",
    )
    at_once: AtOnce = None
    runner: Runner = "local"

    @field_validator("storage")
    @classmethod
    def _hold_no_secret(cls, url: str | None) -> str | None:
        if url is not None and (found := find_secret(url)) is not None:
            raise SecretInUrlError(
                f"{without_secret(url)} holds {found}, and options are written down; give user and password in the "
                "environment: PGUSER and PGPASSWORD, or PGPASSFILE"
            )
        return url


class SpeedrunOptions(Options):
    """What `speedrun` is asked for."""

    corpus: CorpusName = Field(
        description="a corpus of pipelines.toml, a file, a folder, an archive or a URL"
    )
    presets: str = Field(
        "fast,best", description="presets, separated by commas; each is trained with each architecture"
    )
    arch: str = Field("lstm", description="architectures, separated by commas")
    seeds: int = Field(3, ge=1, le=100, description="trainings of each configuration, from train.seed on")

    @field_validator("presets", "arch")
    @classmethod
    def _names(cls, value: str) -> str:
        if not all(comma_separated(value)):
            raise ValueError("write names, separated by commas: fast,best")
        return value

    @property
    def preset_names(self) -> list[str]:
        return comma_separated(self.presets)

    @property
    def archs(self) -> list[str]:
        return comma_separated(self.arch)
