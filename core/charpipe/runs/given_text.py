"""Read a user's text for a trained model: by the rules of the run's corpus, limited to its vocabulary."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charpipe.config.load import Resolved
from charpipe.config.settings.corpus import CorpusConfig
from charpipe.config.validation import validate
from charpipe.corpus.single_text import read_text
from charpipe.models.loaded import Bundle, Loaded
from charpipe.plugin import end_token
from charpipe.runs import Run
from charpipe.text.coverage import Fitted, fit
from charpipe.workspace import Workspace

RULES = ("encoding", "errors", "newline", "drop")
"""The corpus settings that control how its files are decoded to text."""
DIVIDING = ("documents", "ends")
"""Those that control where its documents end."""


@dataclass(frozen=True)
class GivenText:
    """The part of a text that the model can read, the skipped characters, and notices for the user.

    `characters` is the length of the whole text; `whole` is False if only the beginning was read.
    """

    name: str
    fitted: Fitted
    characters: int
    whole: bool
    notices: tuple[str, ...]

    @property
    def text(self) -> str:
        """The text that the model can read."""
        return self.fitted.text


def read_given_text(
    file: str | Path,
    loaded: Loaded | Bundle,
    workspace: Workspace,
    resolved: Resolved,
    *,
    strict: bool = False,
    most: int | None = None,
    documents: bool = False,
) -> GivenText:
    """Read the text of a file (`-`: standard input) for a model; used by the commands and the Python API.

    Encoding and newlines are those of the run's corpus, unless `--set corpus.encoding=...` and the like override
    them. Characters that are not in the vocabulary are skipped and counted; with `strict` they are an error.
    `most`: the maximum number of characters to read. With `documents`, the file is divided into documents like the
    corpus, for a model that knows ends. Raises UsageError.
    """
    ends = documents and end_token(loaded.encoding) is not None
    config = corpus_rules(workspace, loaded.name, resolved, RULES + DIVIDING if ends else RULES)
    read = read_text(file, config, most)
    fitted = fit(read.text, loaded.encoding, read.name, strict=strict)
    return GivenText(read.name, fitted, read.characters, read.whole, (*read.notices, *fitted.notices))


def corpus_rules(
    workspace: Workspace, run: str, resolved: Resolved, wanted: tuple[str, ...] = RULES
) -> CorpusConfig:
    """The decoding settings of the run's corpus; the command's own flags and `--set` take precedence."""
    rules: dict[str, Any] = {}
    known = Run(workspace.runs / run)
    if (known.folder / "run.json").is_file():
        info = known.info
        entry = resolved.config.corpora.get(info.corpus)
        recorded = {key: info.settings.get(f"corpus.{key}") for key in wanted}
        rules = entry.model_dump(include=set(wanted)) if entry is not None else {}
        rules |= {key: value for key, value in recorded.items() if value is not None}
    for key in wanted:
        value = resolved.config.corpus.get(key)
        if value is not None and (
            key not in rules or resolved.origins.get(f"corpus.{key}") in ("--set", "flag")
        ):
            rules[key] = value
    return validate(CorpusConfig, {"sources": ["text:"], **rules}, prefix="corpus")
