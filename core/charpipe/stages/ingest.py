"""The stage `ingest`: from a source to documents."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from charpipe.config.settings.corpus import CorpusConfig
from charpipe.corpus import discard, fetch, fetched_here
from charpipe.corpus.detection import DETECTOR
from charpipe.corpus.exclusions import LeftOut, own_files
from charpipe.corpus.fingerprint import ChangedError, survey
from charpipe.errors import CorpusError, NoFilesError, RefreshError, UsageError
from charpipe.parallel import choose_processes
from charpipe.plugin import Fetched
from charpipe.stages.computation import WouldRun
from charpipe.stages.context import Context
from charpipe.stages.disk_space import space_warning
from charpipe.stages.ingest_notices import listed, report_texts
from charpipe.stages.network import DOWNLOAD
from charpipe.stages.objects import StageOutput, build, progress_of, recorded
from charpipe.stages.splits import earlier_documents
from charpipe.stages.stage import stage
from charpipe.stages.units import size
from charpipe.store import Action

VERSION = 1
"""The version of the stage: raised by hand when it would make something else of the same input.

What it makes depends on the detector of encodings, whose version is among the settings of its actions: another one
reads the source again, and where the text is the same, nothing after it runs again.
"""
_ATTEMPTS = 4
"""How often a folder is read again without what changed in it."""


@stage("ingest", "Fetch the source if need be, and read it into documents.", forcible=True, retry=DOWNLOAD)
def ingest(context: Context, wanted: str) -> StageOutput:
    """Read the corpus `wanted` into documents: zstd Parquet shards and a list of what was rejected.

    Fetches the source if it is not here yet. Raises CorpusError.
    """
    if (known := recorded(context, "ingest", _documents)) is not None:
        return known
    name, config = context.corpus(wanted)
    sources = context.registry.all("source")
    if context.dry_run and not any(
        here for _, here in fetched_here(config, context.workspace.downloads, sources)
    ):
        raise WouldRun.of("ingest", "fetch the corpus and run")
    fetched = _fetched(context, wanted)
    left_out = LeftOut.of(context.workspace.root, *_shared_folder(context, fetched))
    for path in own_files(fetched.path, left_out):
        context.notice(
            f"{path} is left out, because this command writes to it (to leave it out always, name it in corpus.exclude)"
        )
    for _ in range(_ATTEMPTS):
        try:
            made = _ingested(context, name, config, fetched, left_out)
        except ChangedError as error:
            if config.changed != "skip":
                raise
            left_out = replace(left_out, paths=left_out.paths | error.paths)
            context.notice(
                f"left out, because they change while they are read: {listed(error.paths)}", "warning"
            )
        else:
            report_texts(context, made)
            return made
    raise CorpusError(
        f"{fetched.origin} keeps changing while it is read; nothing was kept. Copy it, and name the copy"
    )


def _folder(fetched: Fetched) -> Path | None:
    """The folder whose files are the members of the corpus; None if they come from one file or from a text."""
    return fetched.path if fetched.path is not None and fetched.path.is_dir() else None


def _shared_folder(context: Context, fetched: Fetched) -> list[Path]:
    """The folder of the shared store, if it lies in the folder of the corpus: this command writes to it."""
    root, corpus = getattr(context.shared, "root", None), fetched.path
    if not isinstance(root, Path) or corpus is None or not root.resolve().is_relative_to(corpus.resolve()):
        return []
    if not context.dry_run:
        with suppress(OSError):  # the store itself says what is wrong with it
            root.mkdir(parents=True, exist_ok=True)
    return [root]


def _ingested(
    context: Context, name: str, config: CorpusConfig, fetched: Fetched, left_out: LeftOut
) -> StageOutput:
    cache, progress = context.workspace.downloads, progress_of(context, "ingest")
    found = survey(fetched, config, cache, left_out)
    settings = config.model_dump(include={"include", "exclude", "encoding", "errors", "newline"})
    settings |= {"name": fetched.details.get("name", ""), "detector": DETECTOR}
    if config.split.patterns:
        settings["split"] = config.split.patterns
    action = Action("ingest", VERSION, {"source": found.digest}, settings)
    taken = [0]

    def make(folder: Path) -> Mapping[str, Any]:
        from charpipe.corpus import ingest
        from charpipe.corpus.parallel_ingestion import ingest_in_parallel

        def unchanged() -> bool:
            after = survey(fetched, config, cache, left_out)
            if changed := after.changed_since(found):
                raise ChangedError(fetched.origin, changed)
            return after.digest == found.digest

        if (short := space_warning(context.workspace, fetched.path, found.contents)) is not None:
            context.notice(short, "warning")
        earlier = earlier_documents(context, action, name, found.contents)
        processes = choose_processes(config.processes, found.bytes) if earlier is None else 1
        try:
            if processes > 1:
                with context.parallel_map(processes, reads=_folder(fetched)) as parallel:
                    return ingest_in_parallel(
                        fetched, config, folder, parallel, progress, unchanged=unchanged, left_out=left_out
                    )
            facts = ingest(
                fetched, config, folder, progress, unchanged=unchanged, earlier=earlier, left_out=left_out
            )
        except ChangedError:
            raise
        except NoFilesError as error:
            if not config.split.patterns:
                raise
            raise UsageError(str(error)) from error
        except CorpusError as error:
            if not discard(fetched, config, cache):
                raise
            raise CorpusError(
                f"{error}; the download was removed, so the next try asks for it again"
            ) from error
        taken[0] = earlier.documents if earlier is not None else 0
        if config.split.patterns:
            from charpipe.corpus.file_splits import FileSplits

            FileSplits(config.split.patterns).check(folder)
        return facts

    return build(context, action, make, name, lambda facts: _documents(facts, taken[0]))


def _fetched(context: Context, wanted: str) -> Fetched:
    """The corpus's source, queried again where ingesting is forced; its notices are emitted.

    Where a forced stage cannot reach the source, it warns and reads what was fetched before.
    """
    name, config = context.corpus(wanted)
    cache, sources = context.workspace.downloads, context.registry.all("source")
    progress = progress_of(context, "ingest")
    if "ingest" in context.force and not context.dry_run:
        try:
            fetched = fetch(config, name, cache, sources, progress, refresh=True)
        except RefreshError as error:
            context.notice(f"{error}, and is read again", "warning")
            fetched = fetch(config, name, cache, sources, progress)
    else:
        fetched = fetch(config, name, cache, sources, progress)
    for notice in fetched.notices:
        context.notice(notice)
    for warning in fetched.warnings:
        context.notice(warning, "warning")
    return fetched


def refresh_source(context: Context, wanted: str) -> None:
    """Check the source of the corpus for a newer version, and fetch it. Raises CorpusError if it is unreachable."""
    name, config = context.corpus(wanted)
    cache, sources = context.workspace.downloads, context.registry.all("source")
    fetch(config, name, cache, sources, progress_of(context, "refresh"), refresh=True)


def _documents(facts: Mapping[str, Any], taken: int = 0) -> str:
    rejected = f"  ({facts['rejected']:,} rejected)" if facts.get("rejected") else ""
    noun = "document" if facts["documents"] == 1 else "documents"
    read = f"  ({facts['documents'] - taken:,} read, the others unchanged)" if taken else ""
    return f"{facts['documents']:,} {noun}  {size(facts['bytes'], 'B')}{rejected}{read}"
