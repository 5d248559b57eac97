"""The options of the pipelines: each field becomes a flag of `charpipe run`.

They stand apart from the recipes, since every command line reads them, and importing the stages takes time.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from charpipe.errors import near_match
from charpipe.plugin import Options
from charpipe.store.paths import printable

NAMES, NUMBERS = r"^\s*[^,\s]+(\s*,\s*[^,\s]+)*\s*$", r"^\s*[1-9]\d{0,4}(\s*,\s*[1-9]\d{0,4})*\s*$"

SOURCES = ("paper", "blog")


def _as_text(value: Any) -> Any:
    return printable(value) if isinstance(value, str) else value


CorpusName = Annotated[str, BeforeValidator(_as_text)]
"""A name, path or URL; the bytes of a path that are not UTF-8 are escaped, so that Prefect and JSON can hold it."""


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

    @field_validator("arch")
    @classmethod
    def _names(cls, value: str) -> str:
        if not all(_divided(value)):
            raise ValueError("give names of architectures separated by commas: rnn,lstm")
        return value

    @field_validator("sizes", "layers")
    @classmethod
    def _numbers(cls, value: str) -> str:
        if not re.fullmatch(NUMBERS, value):
            raise ValueError("give whole numbers from 1 to 99999 separated by commas: 64,128")
        return value

    @property
    def archs(self) -> list[str]:
        return _divided(self.arch)

    @property
    def widths(self) -> list[int]:
        return [int(size) for size in _divided(self.sizes)]

    @property
    def depths(self) -> list[int]:
        return [int(depth) for depth in _divided(self.layers)]


class RetrainOptions(Options):
    """What `retrain` is asked for."""

    corpus: CorpusName = Field(
        description="a corpus of pipelines.toml, a file, a folder, an archive or a URL"
    )
    arch: str = Field("lstm", description="the architecture: see `charpipe plugins list`")
    start: Literal["champion", "fresh"] = Field(
        "champion", description="initial weights: those of the champion, or new ones"
    )


class ReproduceOptions(Options):
    """What `reproduce-2015` is asked for."""

    experiments: str = Field(
        "paper,blog", pattern=NAMES, description="paper, the grid on War and Peace; blog, its texts; or both"
    )
    sizes: str = Field(
        "64,128,256,512", pattern=NUMBERS, description="of the paper's grid: units of the LSTM"
    )
    layers: str = Field("1,2,3", pattern=NUMBERS, description="of the paper's grid: stacked layers")
    corpora: str = Field(
        "",
        description="your copies of texts, as NAME=PATH separated by commas: war_and_peace=./warpeace_input.txt",
    )

    @field_validator("experiments")
    @classmethod
    def _experiments_are_known(cls, value: str) -> str:
        for name in _divided(value):
            if name not in SOURCES:
                raise ValueError(f"{name!r} is neither paper nor blog{near_match(name, SOURCES)}")
        return value

    @field_validator("corpora")
    @classmethod
    def _corpora_are_pairs(cls, value: str) -> str:
        for part in _divided(value) if value.strip() else []:
            if not all(side.strip() for side in part.partition("=")):
                raise ValueError(f"{part!r} is not NAME=PATH")
        return value

    @property
    def sources(self) -> list[str]:
        return _divided(self.experiments)

    @property
    def widths(self) -> list[int]:
        return [int(size) for size in _divided(self.sizes)]

    @property
    def depths(self) -> list[int]:
        return [int(depth) for depth in _divided(self.layers)]

    @property
    def copies(self) -> dict[str, str]:
        parts = (part.partition("=") for part in _divided(self.corpora) if part)
        return {name.strip(): path.strip() for name, _, path in parts}


def _divided(text: str) -> list[str]:
    return list(dict.fromkeys(part.strip() for part in text.split(",")))
