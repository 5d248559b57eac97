"""The options of the pipelines: each field becomes a flag of `charpipe run`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from charpipe.plugin import Options


class TrainAndSampleOptions(Options):
    """What `train-and-sample` is asked for."""

    corpus: str = Field(description="a corpus of pipelines.toml, a file, a folder, an archive or a URL")
    arch: str = Field("lstm", description="the architecture: see `charpipe plugins list`")
    from_: str | None = Field(None, description="a run, or champion:CORPUS, to go on from what it learnt")


class RetrainOptions(Options):
    """What `retrain` is asked for."""

    corpus: str = Field(description="a corpus of pipelines.toml, a file, a folder, an archive or a URL")
    arch: str = Field("lstm", description="the architecture: see `charpipe plugins list`")
    start: Literal["champion", "fresh"] = Field(
        "champion", description="what training begins with: what the champion learnt, or nothing"
    )
