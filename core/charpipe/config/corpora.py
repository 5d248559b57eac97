"""Resolve a corpus given by its name in the catalogue, a path or a URL."""

from __future__ import annotations

import os
from pathlib import Path

from charpipe.config import identity
from charpipe.config.files import SCHEME
from charpipe.config.layers import Layers
from charpipe.config.load import BUILT_IN, Resolved
from charpipe.config.schema import Config
from charpipe.config.settings.corpus import CorpusConfig
from charpipe.config.validation import validate
from charpipe.errors import UsageError, near_match
from charpipe.store.digest import digest_of_json
from charpipe.store.paths import existing, printable
from charpipe.store.secrets import SecretInUrlError, redact, refuse_secret


def resolve_corpus(
    config: Config, wanted: str, workspace: Path | None = None, project_file: Path | None = None
) -> tuple[str, CorpusConfig]:
    """The identity and settings of the corpus `wanted`, with the `corpus` table applied on top.

    A path or URL is identified by its location (see `charpipe.config.identity`), so that it is not confused with
    another file of the same name or an entry of the catalogue. Raises UsageError with a near match.
    """
    name, corpus = _find(config, wanted, workspace, project_file)
    layers = Layers()
    layers.lay("catalogue", corpus.model_dump(exclude_unset=True))
    layers.lay("corpus", config.corpus)
    return name, validate(CorpusConfig, layers.values, prefix="corpus")


def common_origin(resolved: Resolved, name: str, corpus: CorpusConfig) -> str | None:
    """A digest of the corpus's sources if they are the same on every machine, else None.

    They are the same for charpipe's built-in catalogue, URLs and other schemes, but not for paths, which may hold
    another text in another project.
    """
    built_in = resolved.origins.get(f"corpora.{name}.sources") == BUILT_IN
    anywhere = all(SCHEME.match(one) and not one.lower().startswith("file:") for one in corpus.sources)
    return digest_of_json(corpus.sources)[:16] if built_in or anywhere else None


def _find(
    config: Config, wanted: str, workspace: Path | None, project_file: Path | None
) -> tuple[str, CorpusConfig]:
    if wanted in config.corpora:
        return wanted, config.corpora[wanted]
    if not wanted.strip():
        raise UsageError("the corpus has no name; give --corpus a name, a path or a URL")
    path = existing(wanted)
    if path is not None:
        name = _name(config, path, workspace, project_file)
        whole = os.path.abspath(path)  # noqa: PTH100  takes .. away without following links
        return name, CorpusConfig(sources=[printable(whole)])
    try:
        refuse_secret(wanted)
    except SecretInUrlError as error:
        raise UsageError(str(error)) from None
    if SCHEME.match(wanted):
        return _free(config, identity.of_url(wanted), wanted), CorpusConfig(sources=[wanted])
    raise UsageError(
        f"there is no corpus {printable(redact(wanted))!r} in the catalogue, nor a file or folder of that name"
        f"{near_match(wanted, config.corpora)}"
    )


def _name(config: Config, path: Path, workspace: Path | None, project_file: Path | None) -> str:
    if workspace is None:
        folder = project_file.parent if project_file else Path.cwd()
        return _free(config, identity.of_path(path, folder), str(path))
    base = identity.base_of(workspace, project_file)
    earlier = identity.earlier_name(workspace, path, base)
    if earlier is not None and earlier not in config.corpora:
        return earlier
    return _free(config, identity.of_path(path, base), str(path))


def _free(config: Config, name: str, wanted: str) -> str:
    if name in config.corpora:
        raise UsageError(
            f"{printable(wanted)!r} would be kept as {name!r}, the name of a corpus in pipelines.toml; "
            "give that corpus another name there"
        )
    return name
