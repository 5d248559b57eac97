"""Vocabularies: built by a tokenizer plugin and stored as JSON; loading validates the data and runs no code from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from charpipe.config.settings.text import TokenizerConfig
from charpipe.corpus.ends import END
from charpipe.errors import CorpusError, UsageError, near_match
from charpipe.parallel import DIRECT, ParallelMap
from charpipe.plugin import Encoding, Options, Tokenizer, resolve
from charpipe.plugins.contracts import END_TOKEN
from charpipe.text.ends import one_token, with_end_token

if TYPE_CHECKING:
    from charpipe.corpus.members import Progress

SCHEMA = "charpipe.vocabulary/1"
FILE = "vocabulary.json"
_LARGEST = 64 * 2**20


def learn_vocabulary(
    documents: Path,
    tokenizer: Tokenizer,
    config: TokenizerConfig,
    folder: Path,
    progress: Progress = lambda done, total: None,
    parent: Mapping[str, Any] | None = None,
    parallel: ParallelMap = DIRECT,
    *,
    ends: bool = False,
) -> dict[str, Any]:
    """Build `vocabulary.json` from the documents and write it into `folder`; returns its facts.

    With `parent`, another vocabulary, new characters are appended to it, so that a model that uses it can be trained
    further. With `ends`, the vocabulary has an end token, whatever is left out of it. Raises UsageError if the
    tokenizer does not know a setting, cannot extend the parent, or has not one token for the end of a document.
    """
    from charpipe.text.character_counts import count  # pyarrow: loading a vocabulary needs none

    options = tokenizer_options(tokenizer, config)
    check_parent(tokenizer, parent)
    counts = count(documents, progress, parallel) if tokenizer.counts else {}
    learnt_from = counts
    if ends and tokenizer.counts:  # never rare
        learnt_from = {**counts, END: max(config.min_count, *counts.values())}
    if parent is not None and tokenizer.extend is not None:
        learnt = resolve(tokenizer.extend)(parent, learnt_from, options)
    else:
        learnt = resolve(tokenizer.learn)(learnt_from, options)
    vocabulary = {"schema": SCHEMA, "tokenizer": tokenizer.name, **learnt}
    encoding = _load(vocabulary, tokenizer, "the new vocabulary")
    if ends:
        vocabulary[END_TOKEN] = one_token(encoding, tokenizer.name)
    (folder / FILE).write_text(json.dumps(vocabulary, ensure_ascii=True, indent=1) + "\n", encoding="utf-8")
    facts: dict[str, Any] = {"tokenizer": tokenizer.name, "size": encoding.size}
    if tokenizer.counts:
        marks = counts.get(END, 0) if ends else 0
        facts |= {"characters": len(counts) - (marks > 0), "total": sum(counts.values()) - marks}
    return facts


def check_parent(tokenizer: Tokenizer, parent: Mapping[str, Any] | None) -> None:
    """Raise UsageError if `parent` belongs to another tokenizer and so cannot be extended."""
    if parent is not None and parent.get("tokenizer") != tokenizer.name:
        raise UsageError(
            f"the model to start from has a {parent.get('tokenizer')} vocabulary, and this corpus a "
            f"{tokenizer.name} one; leave --from out, or type: --set corpus.tokenizer.name={parent.get('tokenizer')}"
        )


def tokenizer_options(tokenizer: Tokenizer, config: TokenizerConfig) -> Options:
    """The tokenizer's options from the corpus's `tokenizer` table. Raises UsageError for options it does not take."""
    given = config.model_dump(exclude={"name"}, exclude_defaults=True)
    try:
        return tokenizer.config.model_validate(given)
    except ValidationError as error:
        keys = ", ".join(sorted({".".join(str(at) for at in item["loc"]) for item in error.errors()}))
        raise UsageError(
            f"the tokenizer {tokenizer.name!r} does not take {keys}: {error.errors()[0]['msg']}"
        ) from error


def load_vocabulary(path: Path, tokenizers: Mapping[str, Tokenizer]) -> Encoding:
    """Load the encoding of a `vocabulary.json`, given its path or its folder.

    Raises CorpusError if the file is not a vocabulary, UsageError if its tokenizer is not installed.
    """
    path = path / FILE if path.is_dir() else path
    try:
        if path.stat().st_size > _LARGEST:
            raise CorpusError(f"{path} is larger than any vocabulary ({_LARGEST:,} bytes)")
        vocabulary = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CorpusError(f"{path} is not a {SCHEMA} file: {error}") from error
    if not isinstance(vocabulary, dict) or vocabulary.get("schema") != SCHEMA:
        raise CorpusError(f"{path} is not a {SCHEMA} file: its schema is not named so")
    name = vocabulary.get("tokenizer")
    if not isinstance(name, str) or name not in tokenizers:
        raise UsageError(f"{path} needs the tokenizer {name!r}{near_match(str(name), tokenizers)}")
    return _load(vocabulary, tokenizers[name], str(path))


def _load(vocabulary: Mapping[str, Any], tokenizer: Tokenizer, subject: str) -> Encoding:
    try:
        encoding: Encoding = resolve(tokenizer.load)(vocabulary)
    except (CorpusError, KeyError, TypeError, ValueError) as error:
        raise CorpusError(f"{subject} does not fit the tokenizer {tokenizer.name!r}: {error}") from error
    if not 0 < encoding.size < 2**32 or len(encoding.labels) != encoding.size:
        raise CorpusError(
            f"{subject}: the tokenizer {tokenizer.name!r} gives {encoding.size} tokens without labels"
        )
    return with_end_token(encoding, vocabulary, subject)
