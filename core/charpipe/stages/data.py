"""From a source to tokens: the stages whose results lie in the store. What a stage needs is imported when it works."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from charpipe.corpus.left_out import LeftOut, own_files
from charpipe.corpus.settings import CorpusConfig
from charpipe.errors import CorpusError, RefreshError
from charpipe.events import StageProgress
from charpipe.plugin import Fetched
from charpipe.stages.beginning import Beginning, vocabulary_of
from charpipe.stages.lineage import division_before, earlier_documents, earlier_tokens, split_settings
from charpipe.stages.quantities import size
from charpipe.stages.reading import listed, tell_of_texts
from charpipe.stages.room import scarce
from charpipe.stages.session import Made, Session, WouldRun
from charpipe.store import Action, digest_of_json

INGEST, VOCABULARY, ENCODE = 1, 1, 1
"""The versions of the stages: raised by hand when a stage would make something else of the same input.

What ingest makes depends on the detector of encodings, whose version is among the settings of its actions: another one
reads the source again, and where the text is the same, nothing after it runs again.
"""
_ATTEMPTS = 4
"""How often a folder is read again without what changed in it."""


def ingest(session: Session, wanted: str) -> Made:
    """Read the corpus `wanted` into documents: zstd Parquet shards and a list of what was rejected.

    Fetches the source if it is not here yet. Raises CorpusError.
    """
    from charpipe.corpus import fetched_here
    from charpipe.corpus.hashing import ChangedError

    if (recorded := session.recorded("ingest")) is not None:
        return session.skip(recorded, _documents)
    name, config = session.corpus(wanted)
    sources = session.registry.all("source")
    if session.dry_run and not any(
        here for _, here in fetched_here(config, session.workspace.downloads, sources)
    ):
        raise WouldRun("ingest: would fetch the corpus and run, and all after it")
    fetched = _fetched(session, wanted)
    left_out = LeftOut.of(session.workspace.root)
    for path in own_files(fetched.path, left_out):
        session.notice(
            f"{path} is left out: this command writes to it (name it in corpus.exclude to leave it out always)"
        )
    for _ in range(_ATTEMPTS):
        try:
            made = _ingested(session, name, config, fetched, left_out)
        except ChangedError as error:
            if config.changed != "skip":
                raise
            left_out = replace(left_out, paths=left_out.paths | error.paths)
            session.notice(
                f"left out, because they change while they are read: {listed(error.paths)}", "warning"
            )
        else:
            tell_of_texts(session, made)
            return made
    raise CorpusError(
        f"{fetched.origin} keeps changing while it is read; nothing was kept. Copy it, and name the copy"
    )


def _ingested(session: Session, name: str, config: CorpusConfig, fetched: Fetched, left_out: LeftOut) -> Made:
    from charpipe.corpus import discard
    from charpipe.corpus.detection import DETECTOR
    from charpipe.corpus.hashing import ChangedError, survey

    cache, progress = session.workspace.downloads, _progress(session, "ingest")
    found = survey(fetched, config, cache, left_out)
    settings = config.model_dump(include={"include", "exclude", "encoding", "errors", "newline"})
    settings |= {"name": fetched.details.get("name", ""), "detector": DETECTOR}
    action = Action("ingest", INGEST, {"source": found.digest}, settings)
    taken = [0]

    def make(folder: Path) -> Mapping[str, Any]:
        from charpipe.corpus import ingest

        def unchanged() -> bool:
            after = survey(fetched, config, cache, left_out)
            if changed := after.changed_since(found):
                raise ChangedError(fetched.origin, changed)
            return after.digest == found.digest

        if (short := scarce(session.workspace, fetched.path, found.contents)) is not None:
            session.notice(short, "warning")
        earlier = earlier_documents(session, action, name, found.contents)
        try:
            facts = ingest(
                fetched, config, folder, progress, unchanged=unchanged, earlier=earlier, left_out=left_out
            )
        except ChangedError:
            raise
        except CorpusError as error:
            if not discard(fetched, config, cache):
                raise
            raise CorpusError(
                f"{error}; the download was removed, so the next try asks for it again"
            ) from error
        taken[0] = earlier.documents if earlier is not None else 0
        return facts

    return session.build(action, make, name, lambda facts: _documents(facts, taken[0]))


def _fetched(session: Session, wanted: str) -> Fetched:
    """The corpus's source, asked again where ingesting is forced; what it has to say is told.

    Where a forced stage cannot reach the source, what was fetched before is read, with a warning.
    """
    from charpipe.corpus import fetch

    name, config = session.corpus(wanted)
    cache, sources = session.workspace.downloads, session.registry.all("source")
    progress = _progress(session, "ingest")
    if "ingest" in session.force and not session.dry_run:
        try:
            fetched = fetch(config, name, cache, sources, progress, refresh=True)
        except RefreshError as error:
            session.notice(f"{error}, and is read again", "warning")
            fetched = fetch(config, name, cache, sources, progress)
    else:
        fetched = fetch(config, name, cache, sources, progress)
    for notice in fetched.notices:
        session.notice(notice)
    for warning in fetched.warnings:
        session.notice(warning, "warning")
    return fetched


def refresh_source(session: Session, wanted: str) -> None:
    """Ask the source of the corpus for something newer, and fetch it. Raises CorpusError where it cannot be reached."""
    from charpipe.corpus import fetch

    name, config = session.corpus(wanted)
    cache, sources = session.workspace.downloads, session.registry.all("source")
    fetch(config, name, cache, sources, _progress(session, "refresh"), refresh=True)


def learn_vocabulary(
    session: Session, wanted: str, documents: Made, beginning: Beginning | None = None
) -> Made:
    """Learn the vocabulary of the documents, or extend that of the model to start from: `vocabulary.json`."""
    if (recorded := session.recorded("vocabulary")) is not None:
        return session.skip(recorded, _vocabulary)
    name, config = session.corpus(wanted)
    provided = session.registry.find("tokenizer", config.tokenizer.name)
    code = {config.tokenizer.name: provided.provider.digest()}
    parent = vocabulary_of(session, beginning) if beginning else None
    inputs = {"documents": documents.digest}
    if parent is not None:
        inputs["parent"] = digest_of_json(parent)
        from charpipe.text.vocabulary import check_parent

        check_parent(provided.spec, parent)
    action = Action("vocabulary", VOCABULARY, inputs, config.tokenizer.model_dump(), code)

    def make(folder: Path) -> Mapping[str, Any]:
        from charpipe.text import learn_vocabulary

        progress = _progress(session, "vocabulary")
        return learn_vocabulary(
            session.path(documents), provided.spec, config.tokenizer, folder, progress, parent
        )

    return session.build(action, make, name, _vocabulary)


def encode(session: Session, wanted: str, documents: Made, vocabulary: Made) -> Made:
    """Divide the documents into splits and write each as a file of tokens."""
    if (recorded := session.recorded("encode")) is not None:
        return session.skip(recorded, _tokens)
    name, config = session.corpus(wanted)
    provided = session.registry.find("tokenizer", config.tokenizer.name)
    split = split_settings(session, name, config, documents)
    inputs = {"documents": documents.digest, "vocabulary": vocabulary.digest}
    settings = {"split": split.model_dump()}
    known = division_before(session, name, inputs, settings)
    division = known or earlier_tokens(session, name, documents, settings)
    if division.by is not None:
        inputs["divided"] = division.by
    action = Action("encode", ENCODE, inputs, settings, {config.tokenizer.name: provided.provider.digest()})

    def make(folder: Path) -> Mapping[str, Any]:
        from charpipe.text import encode, load_vocabulary

        encoding = load_vocabulary(
            session.path(vocabulary) / "vocabulary.json", session.registry.all("tokenizer")
        )
        progress = _progress(session, "encode")
        salt = split.salt or name
        earlier = division.earlier
        return encode(
            session.path(documents), encoding, split, folder, salt=salt, earlier=earlier, progress=progress
        )

    made = session.build(action, make, name, _tokens)
    for part, share in (("val", split.val), ("test", split.test)):
        if share and not made.facts["tokens"][part]:
            session.notice(f"the corpus is too small or too uneven: its {part} split is empty", "warning")
    return made


def _progress(session: Session, stage: str) -> Callable[..., None]:
    def tell(done: int, total: int | None = None, unit: str = "bytes") -> None:
        session.check_stop(stage)
        session.emit(StageProgress(stage, done, total, unit))

    return tell


def _documents(facts: Mapping[str, Any], taken: int = 0) -> str:
    rejected = f"  ({facts['rejected']:,} rejected)" if facts.get("rejected") else ""
    noun = "document" if facts["documents"] == 1 else "documents"
    read = f"  ({facts['documents'] - taken:,} read, the others unchanged)" if taken else ""
    return f"{facts['documents']:,} {noun}  {size(facts['bytes'], 'B')}{rejected}{read}"


def _vocabulary(facts: Mapping[str, Any]) -> str:
    return f"{facts['tokenizer']}, {facts['size']:,} tokens"


def _tokens(facts: Mapping[str, Any]) -> str:
    counts = facts["tokens"]
    shares = " / ".join(size(counts[split]) for split in ("train", "val", "test"))
    return f"{size(sum(counts.values()))} tokens  ({shares})"
