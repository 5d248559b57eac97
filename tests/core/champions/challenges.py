"""Corpora, trained runs and their challenges, small enough for a second each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from charpipe import stages
from charpipe.runs import Run
from charpipe.stages import Context, StageOutput, TrainRequest
from charpipe.workspace import Workspace
from sentences import sentences


def text(seed: int, words: int = 4000) -> str:
    """Sentences that an RNN learns something of within a hundred steps."""
    return sentences(seed, words)


class Lab:
    """Trains runs of one corpus and lets them challenge its champion."""

    def __init__(self, open_context: Callable[..., Context], folder: Path) -> None:
        self._open, self.folder = open_context, folder
        self.corpus = "mine.txt"
        self.context = open_context()

    @property
    def workspace(self) -> Workspace:
        return self.context.workspace

    def write(self, content: str) -> None:
        (self.folder / self.corpus).write_text(content)

    def train(self, steps: int = 5, **settings: Any) -> tuple[stages.TrainedRun, StageOutput]:
        """A run of so many steps, and the tokens it was trained on."""
        self.context = context = self._open(train__steps=steps, **settings)
        documents = stages.ingest(context, self.corpus)
        vocabulary = stages.learn_vocabulary(context, self.corpus, documents)
        tokens = stages.encode(context, self.corpus, documents, vocabulary)
        return stages.train(context, TrainRequest(self.corpus, "rnn"), tokens, vocabulary), tokens

    def challenge(self, steps: int = 5, **settings: Any) -> stages.Promotion:
        """Train, and let the run challenge the champion."""
        trained, tokens = self.train(steps, **settings)
        return stages.promote(self.context, trained, tokens)

    def run(self, name: str) -> Run:
        return Run(self.workspace.runs / name)
