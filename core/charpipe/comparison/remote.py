"""A trial as a JSON request: how it is trained in another process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from charpipe.comparison.leaderboard import Row
from charpipe.comparison.trials import Trial
from charpipe.stages import Context, StageOutput
from charpipe.stages.remote import describe, inputs

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
        tokens: StageOutput,
        vocabulary: StageOutput,
        comparison: str = "",
    ) -> dict[str, Any]:
        """The call as JSON, with all settings of the context."""
        described = describe(context, corpus, trial.arch, tokens, vocabulary, PER_TRAINING)
        return described | {"trial": asdict(trial), "comparison": comparison}

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


def arguments_of(request: Mapping[str, Any]) -> tuple[Trial, str, StageOutput, StageOutput, str]:
    """The arguments of `train_trial` in a request."""
    trial = request["trial"] | {
        "settings": tuple((key, value) for key, value in request["trial"]["settings"])
    }
    return Trial(**trial), request["corpus"][0], *inputs(request), request["comparison"]
