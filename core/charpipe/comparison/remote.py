"""A trial as a JSON request, and a context made from one: how a trial runs in another process."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charpipe.comparison.leaderboard import Row
from charpipe.comparison.trials import Trial
from charpipe.config import load_config
from charpipe.config.plugin_folders import open_plugins
from charpipe.config.schema import SETTINGS
from charpipe.errors import PluginError
from charpipe.events import Listener
from charpipe.stages import Context, Made, Stop
from charpipe.workspace import Workspace

PER_TRAINING = ("train", "evaluate")
"""Stages of a trial that can be forced."""


class RemoteTrial:
    """How `train_trial` is called in another process; see `charpipe.stages.stage.Remote`."""

    module = "charpipe.comparison.worker"

    def request(
        self,
        context: Context,
        trial: Trial,
        corpus: str,
        tokens: Made,
        vocabulary: Made,
        comparison: str = "",
    ) -> dict[str, Any]:
        """The call as JSON, with all settings of the context."""
        return {
            "trial": dataclasses.asdict(trial),
            "corpus": corpus,
            "tokens": dataclasses.asdict(tokens),
            "vocabulary": dataclasses.asdict(vocabulary),
            "comparison": comparison,
            "settings": context.config.model_dump(mode="json", include=set(SETTINGS)),
            "origins": dict(context.resolved.origins),
            "force": sorted(context.force.intersection(PER_TRAINING)),
            "workspace": str(context.workspace.root),
            "folder": str(Path.cwd()),
            "plugin": context.registry.find("architecture", trial.arch).provider.digest(),
            "flow_run": dict(context.flow_run),
        }

    def result(self, value: Mapping[str, Any]) -> Row:
        """The row, from JSON."""
        return Row(**value)

    def is_done(self, result: Row) -> bool:
        """Whether the row is that of a finished training."""
        return bool(result.run) and not result.error

    def failed(self, reason: str, run: str, trial: Trial, *_: Any) -> Row:
        """The row of a trial whose process died."""
        return Row(trial.title, trial.seed, run, error=reason)


REMOTE_TRIAL = RemoteTrial()


def open_context(request: Mapping[str, Any], emit: Listener, stop: Stop) -> Context:
    """The context of a request, in the process that carries it out.

    Raises PluginError if the architecture's code is not that of the process that made the request.
    """
    resolved = load_config(settings=request["settings"])
    resolved = dataclasses.replace(resolved, origins=request["origins"])
    context = Context(
        Workspace(Path(request["workspace"])),
        resolved,
        open_plugins(resolved),
        emit=emit,
        stop=stop,
        force=frozenset(request["force"]),
        flow_run=request["flow_run"],
    )
    _check_plugin(context, request["trial"]["arch"], request["plugin"])
    return context


def arguments_of(request: Mapping[str, Any]) -> tuple[Trial, str, Made, Made, str]:
    """The arguments of `train_trial` in a request."""
    tokens, vocabulary = Made(**request["tokens"]), Made(**request["vocabulary"])
    trial = request["trial"] | {
        "settings": tuple((key, value) for key, value in request["trial"]["settings"])
    }
    return Trial(**trial), request["corpus"], tokens, vocabulary, request["comparison"]


def _check_plugin(context: Context, arch: str, wanted: str) -> None:
    found = context.registry.find("architecture", arch).provider.digest()
    if found != wanted:
        raise PluginError(
            f"the architecture {arch} on {os.uname().nodename} has other code (digest {found[:12]}) than where the "
            f"command was typed ({wanted[:12]}): install the same version of its plugin on both"
        )
