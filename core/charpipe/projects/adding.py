"""Add a corpus to the project file: its text is read first, and what was found in it is returned."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from charpipe.config.files import SCHEME
from charpipe.config.load import BUILT_IN, Resolved, load_config
from charpipe.config.names import check_name
from charpipe.config.plugin_folders import open_plugins
from charpipe.config.settings.split_values import parse_share, parse_size
from charpipe.corpus.selection import Selection
from charpipe.corpus.sources import source_for
from charpipe.errors import CorpusError, NoFilesError, UsageError
from charpipe.events import Listener
from charpipe.plugin import Source
from charpipe.projects.contents import Contents, read_contents
from charpipe.projects.estimate import Estimate, estimate_training
from charpipe.projects.project_file import add_table, project_file_here
from charpipe.stages import Context, Stop, ingest, learn_vocabulary
from charpipe.stages.context import ignore
from charpipe.stages.given_splits import rest_notice
from charpipe.stages.objects import StageOutput
from charpipe.store.paths import existing, printable
from charpipe.store.secrets import SecretInUrlError, redact, refuse_secret
from charpipe.tracking.relocation import relocate
from charpipe.workspace import find_workspace


@dataclass(frozen=True)
class AddedCorpus:
    """A corpus as it stands in the project file, what was found in its text, and how fast a training reads it."""

    name: str
    file: Path
    sources: tuple[str, ...]
    include: tuple[str, ...]
    contents: Contents
    estimate: Estimate


def add_corpus(
    name: str,
    source: str,
    include: Sequence[str] = (),
    split: Mapping[str, float | str] | None = None,
    *,
    listen: Listener = ignore,
    stop: Stop | None = None,
) -> AddedCorpus:
    """Read the text at `source` (a path, a glob or a URL), and add it to the project file as the corpus `name`.

    `split` has fractions, sizes or patterns of files for `train`, `val` and `test`, as in the project file.
    The file is edited last: if the text cannot be read it stays as it is. Raises UsageError for a name that cannot be
    one or is taken, for a pattern that matches nothing, for splits that do not fit the text, and for a URL with a
    password; CorpusError if there is no text.
    """
    name, file = check_name(name, "corpus"), project_file_here()
    _check_free(load_config(), name, file)
    table: dict[str, Any] = {"sources": [_source(source, file.parent)]}
    if include:
        table["include"] = _patterns(include)
    if split:
        table["split"] = _split(split)
    resolved = load_config(settings={"corpora": {name: _absolute(table, file.parent)}})
    registry = open_plugins(resolved)
    _check_url(table["sources"][0], registry.all("source"))
    context = Context(find_workspace(file), resolved, registry, emit=listen, stop=stop or Stop())
    relocate(context.workspace.root / "mlflow")
    documents = _ingest(context, name, table.get("include", ()))
    vocabulary = learn_vocabulary(context, name, documents)
    split_config = context.corpus(name)[1].split
    contents = read_contents(context.path(documents), documents.facts, vocabulary.facts, split_config)
    if split_config.sizes is not None and (rest := contents.characters - sum(contents.splits.values())):
        context.notice(rest_notice(rest, "characters"), "warning")
    if contents.splits["train"] < 2:
        context.notice(
            "the text to train on has less than two characters: a training on it fails; add more text",
            "warning",
        )
    estimate = estimate_training(context, contents.splits["train"], vocabulary)
    add_table(file, "corpora", name, table, context.workspace)
    return AddedCorpus(
        name, file, tuple(table["sources"]), tuple(table.get("include", ())), contents, estimate
    )


def _check_free(resolved: Resolved, name: str, file: Path) -> None:
    if name in resolved.config.corpora:
        built_in = resolved.origins.get(f"corpora.{name}.sources") == BUILT_IN
        where = "comes with charpipe" if built_in else f"is in {file} already"
        raise UsageError(
            f"a corpus {name!r} {where}; nothing was changed; choose another name, or to look at it type: "
            f"charpipe corpora show {name}"
        )


def _source(source: str, folder: Path) -> str:
    """The source as it stands in the project file: a path inside the project is relative to its folder."""
    if not source.strip():
        raise UsageError("the corpus has no text; give a path or a URL: charpipe corpora add NAME PATH")
    try:
        refuse_secret(source)
    except SecretInUrlError as error:
        raise UsageError(f"{error}; nothing was changed") from None
    path = existing(source) or existing(os.path.expanduser(source))  # noqa: PTH111  an unknown user stays as written
    if path is None and SCHEME.match(source):
        return source
    if path is None and not glob.has_magic(source):
        raise UsageError(
            f"there is no file or folder {printable(redact(source))!r}; nothing was changed; give a path, or a URL "
            "that begins with https://"
        )
    if path is None and next(glob.iglob(os.path.expanduser(source), recursive=True), None) is None:  # noqa: PTH111, PTH207
        raise UsageError(f"the pattern {source!r} matches no file; nothing was changed; give another path")
    whole = os.path.abspath(path or os.path.expanduser(source))  # noqa: PTH100, PTH111  takes .. away without following links
    inside = Path(whole).is_relative_to(folder)
    shown = printable(str(Path(whole).relative_to(folder)) if inside else whole)
    return f"./{shown}" if SCHEME.match(shown) else shown


def _check_url(source: str, sources: Mapping[str, Source]) -> None:
    """Raise UsageError for a URL that no source handles, or with no host or an impossible port."""
    try:
        source_for(source, sources)
        parts = urlsplit(source) if SCHEME.match(source) else None
        if parts is None or parts.scheme not in ("http", "https"):
            return
        if not parts.hostname:
            raise ValueError("it names no host")
        _ = parts.port  # raises ValueError where it can be none
    except CorpusError as error:
        raise UsageError(f"{error}; nothing was changed") from None
    except ValueError as error:
        raise UsageError(
            f"{source!r} cannot be a URL: {error}; nothing was changed; give one such as https://host/text.txt"
        ) from None


def _absolute(table: dict[str, Any], folder: Path) -> dict[str, Any]:
    sources = [one if SCHEME.match(one) else str(folder / one) for one in table["sources"]]
    return {**table, "sources": sources}


def _patterns(include: Sequence[str]) -> list[str]:
    for number, pattern in enumerate(include):
        if not pattern.strip():
            raise UsageError("a pattern of --include is empty; nothing was changed; give one such as '*.txt'")
        if pattern in include[:number]:
            raise UsageError(f"the pattern {pattern!r} is given twice; nothing was changed; give it once")
    return list(include)


def _split(split: Mapping[str, float | str]) -> dict[str, float | str]:
    """The splits as they stand in the project file: `by` is `files` if they are patterns of files."""
    try:
        shares = {name: parse_share(share) for name, share in split.items() if name != "by"}
    except ValueError as error:
        raise UsageError(f"a split cannot be read: {error}; nothing was changed") from error
    files = any(isinstance(share, str) and parse_size(share) is None for share in shares.values())
    return {"by": "files", **shares} if files else {**split, **shares}


def _ingest(context: Context, name: str, include: Sequence[str]) -> StageOutput:
    """Read the corpus. Raises UsageError if one of the patterns matches no file."""
    try:
        documents = ingest(context, name)
    except NoFilesError as error:
        if not include:
            raise
        raise UsageError(f"{_unmatched(include)} there; nothing was changed") from error
    if len(include) > 1:
        waiting = _without_match(context.path(documents), include)
        if waiting:
            raise UsageError(f"{_unmatched(waiting)} there; nothing was changed; leave it out")
    return documents


def _unmatched(patterns: Sequence[str]) -> str:
    listed = ", ".join(map(repr, patterns))
    one = len(patterns) == 1
    return f"the pattern{'' if one else 's'} {listed} {'matches' if one else 'match'} no file"


def _without_match(folder: Path, include: Iterable[str]) -> list[str]:
    """The patterns that match neither a document nor a rejected file."""
    from charpipe.corpus.documents import read_batches
    from charpipe.corpus.file_lists import read_rejected

    waiting = {pattern: Selection([pattern]) for pattern in include}

    def seen(path: str) -> None:
        for pattern in [one for one, selection in waiting.items() if selection.selects(path)]:
            del waiting[pattern]

    for batch in read_batches(folder, ["path"]):
        for path in batch.column("path").to_pylist():
            seen(path)
        if not waiting:
            return []
    for path, _ in read_rejected(folder):
        seen(path)
    return list(waiting)
