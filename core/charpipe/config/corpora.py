"""Which corpus is meant: a name of the catalogue, or a path or URL of the user's own."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from charpipe.config.files import SCHEME
from charpipe.config.layers import Layers
from charpipe.config.problems import validate
from charpipe.config.schema import Config
from charpipe.corpus.settings import CorpusConfig
from charpipe.errors import UsageError, near_match
from charpipe.secrets import SecretInUrlError, redact, refuse_secret


def resolve_corpus(config: Config, wanted: str) -> tuple[str, CorpusConfig]:
    """The name and settings of the corpus `wanted`, the `corpus` table laid over them.

    A path or URL is named after its last part, suffix included, so that it is never taken for an entry of
    the catalogue. Raises UsageError with a near match.
    """
    name, corpus = _find(config, wanted)
    layers = Layers()
    layers.lay("catalogue", corpus.model_dump(exclude_unset=True))
    layers.lay("corpus", config.corpus)
    return name, validate(CorpusConfig, layers.values, prefix="corpus")


def _last_part(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise UsageError(f"{url!r} is not a URL: {error}") from error
    return Path(parts.path).name or parts.hostname or parts.scheme


def _find(config: Config, wanted: str) -> tuple[str, CorpusConfig]:
    if wanted in config.corpora:
        return wanted, config.corpora[wanted]
    if not wanted.strip():
        raise UsageError("the corpus has no name; give --corpus a name, a path or a URL")
    path = Path(wanted)
    if not path.exists():
        try:
            refuse_secret(wanted)
        except SecretInUrlError as error:
            raise UsageError(str(error)) from None
    if SCHEME.match(wanted) and not path.exists():
        return _last_part(wanted), CorpusConfig(sources=[wanted])
    if path.exists():
        absolute = path.absolute()
        return absolute.name or "root", CorpusConfig(sources=[str(absolute)])
    raise UsageError(
        f"there is no corpus {redact(wanted)!r} in the catalogue, nor a file or folder of that name"
        f"{near_match(wanted, config.corpora)}"
    )
