"""`charpipe.init` and `charpipe.add_corpus`: make a project, and add a text to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path

from charpipe.events import Listener
from charpipe.projects.adding import AddedCorpus
from charpipe.projects.adding import add_corpus as add
from charpipe.projects.creation import Project, create_project
from charpipe.stages.context import ignore


def init(folder: str | PathLike[str] = ".") -> Project:
    """Make a project in `folder`: a commented `pipelines.toml`, and a folder `plugins`; returns what was written.

    Overwrites nothing. Raises UsageError if the folder has a project already.
    """
    return create_project(Path(folder).expanduser())


def add_corpus(
    name: str,
    source: str | PathLike[str],
    include: Sequence[str] = (),
    split: Mapping[str, float | str] | None = None,
    *,
    listen: Listener = ignore,
) -> AddedCorpus:
    """Add the text at `source` (a path, a glob or a URL) to the project's file as the corpus `name`; returns what it
    holds, and how fast a training reads it on this machine.

    `include` are patterns of the files to read; `split` has fractions, sizes (`5000 characters`) or patterns of files
    for `train`, `val` and `test`. The project is the one of the working directory. Raises UsageError for a name that is
    taken or cannot be one, for a pattern without a match, for splits that do not fit and for a URL with a password,
    CorpusError if there is no text; the file is then as it was.
    """
    return add(name, str(source), include, split, listen=listen)
