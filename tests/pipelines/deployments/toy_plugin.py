"""A plugin whose one pipeline is the toy flow, so that whole command lines can serve it."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from charpipe.plugin import Options, Pipeline, hookimpl


class ToyOptions(Options):
    """What the toy is asked for."""

    waits: bool = Field(False, description="to wait until it is stopped or released")
    die: int = Field(0, description="how often to be killed first")
    fail: bool = Field(False, description="to fail")


@hookimpl
def charpipe_pipelines() -> Iterable[Pipeline]:
    """The toy."""
    yield Pipeline("toy", "Waits.", "toy_plugin:run", ToyOptions, flow="toy_flows.toy")
