"""Which corpus is meant: a name of the catalogue, or a path or URL of the user's own."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from charpipe.config.layers import Layers
from charpipe.config.problems import validate
from charpipe.config.schema import Config
from charpipe.corpus.settings import CorpusConfig
from charpipe.errors import UsageError, near_match


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


def _find(config: Config, wanted: str) -> tuple[str, CorpusConfig]:
    if wanted in config.corpora:
        return wanted, config.corpora[wanted]
    if "://" in wanted:
        last = Path(urlsplit(wanted).path).name or urlsplit(wanted).netloc
        return last, CorpusConfig(sources=[wanted])
    path = Path(wanted).expanduser()
    if path.exists():
        absolute = path.absolute()
        return absolute.name or "root", CorpusConfig(sources=[str(absolute)])
    if not wanted.strip():
        raise UsageError("the corpus has no name; give --corpus a name, a path or a URL")
    raise UsageError(
        f"there is no corpus {wanted!r} in the catalogue, nor a file or folder of that name"
        f"{near_match(wanted, config.corpora)}"
    )
