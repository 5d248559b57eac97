"""The options of `reproduce-2015`. They stand apart from the recipe, since every command line reads them."""

from __future__ import annotations

from pydantic import Field, field_validator

from charpipe.plugin import NAME_LIST, NUMBER_LIST, Options, comma_separated, near_match

SOURCES = ("paper", "blog")


class ReproduceOptions(Options):
    """What `reproduce-2015` is asked for."""

    experiments: str = Field(
        "paper,blog",
        pattern=NAME_LIST,
        description="paper, the grid on War and Peace; blog, its texts; or both",
    )
    sizes: str = Field(
        "64,128,256,512", pattern=NUMBER_LIST, description="of the paper's grid: units of the LSTM"
    )
    layers: str = Field("1,2,3", pattern=NUMBER_LIST, description="of the paper's grid: stacked layers")
    corpora: str = Field(
        "",
        description="your copies of texts, as NAME=PATH separated by commas: war_and_peace=./warpeace_input.txt",
    )

    @field_validator("experiments")
    @classmethod
    def _experiments_are_known(cls, value: str) -> str:
        for name in comma_separated(value):
            if name not in SOURCES:
                raise ValueError(f"{name!r} is neither paper nor blog{near_match(name, SOURCES)}")
        return value

    @field_validator("corpora")
    @classmethod
    def _corpora_are_pairs(cls, value: str) -> str:
        for part in comma_separated(value) if value.strip() else []:
            if not all(side.strip() for side in part.partition("=")):
                raise ValueError(f"{part!r} is not NAME=PATH")
        return value

    @property
    def sources(self) -> list[str]:
        return comma_separated(self.experiments)

    @property
    def widths(self) -> list[int]:
        return [int(size) for size in comma_separated(self.sizes)]

    @property
    def depths(self) -> list[int]:
        return [int(depth) for depth in comma_separated(self.layers)]

    @property
    def copies(self) -> dict[str, str]:
        parts = (part.partition("=") for part in comma_separated(self.corpora) if part)
        return {name.strip(): path.strip() for name, _, path in parts}
