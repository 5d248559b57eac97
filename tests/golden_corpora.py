"""Small corpora of every kind, and the digests of the objects that ingest, vocabulary and encode make of them.

`digests` computes, for each corpus and setting, the digest of every object's manifest (which depends on the exact
bytes of its files, and so on the versions of pyarrow and zstd) and one of its content (which does not).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

import charpipe_byte
import charpipe_char
from charpipe.config.settings.corpus import CorpusConfig
from charpipe.config.settings.text import SplitConfig, TokenizerConfig
from charpipe.corpus.ingestion import ingest
from charpipe.corpus.parallel_ingestion import ingest_in_parallel
from charpipe.parallel import DIRECT, ParallelMap
from charpipe.plugin import Fetched
from charpipe.store.manifest import describe
from charpipe.text.encoding import encode
from charpipe.text.token_tasks import StoredVocabulary
from charpipe.text.vocabulary import learn_vocabulary, load_vocabulary

TOKENIZERS = {
    tokenizer.name: tokenizer
    for plugin in (charpipe_char, charpipe_byte)
    for tokenizer in plugin.charpipe_tokenizers()
}
LARGE = 17_000_000


def few() -> dict[str, bytes]:
    """A few files of every kind: encodings, line ends, empty, binary, rejected, nested."""
    return {
        "a.txt": b"the quick brown fox\n" * 50,
        "a/b.txt": "gr\u00f6\u00dfer \u2603 \U0001f4a1\r\n".encode() * 30,
        "a/c.txt": b"",
        "bom.txt": "\ufeffwith a mark".encode(),
        "cr.txt": b"one\rtwo\rthree",
        "copy.txt": b"the quick brown fox\n" * 50,
        "cut.txt": "caf\u00e9".encode()[:-1],
        "latin.txt": "caf\u00e9 cr\u00e8me br\u00fbl\u00e9e, d\u00e9j\u00e0 vu\n".encode("latin-1") * 20,
        "nul.txt": b"a\0b",
        "program": bytes(range(256)) * 20,
        "sub/koi.txt": "\u0441\u044a\u0435\u0448\u044c \u0435\u0449\u0451 \u044d\u0442\u0438\u0445 ".encode(
            "koi8_r"
        )
        * 30,
        "sub/wide.txt": "UTF-16 text \u00e9\n".encode("utf-16") * 1,
        "sub/x.txt.gz": gzip.compress(b"compressed text\n" * 40, mtime=0),
        "sub/y.pdf": b"%PDF-1.4 not text",
        "\udcff.txt": b"a name that is not UTF-8",
        "z/\u00e9\ue000\U0001f4a1.txt": b"names in code point order",
    }


def many(version: int = 0) -> dict[str, bytes]:
    """300 files, some of them copies; later versions add, change, rename, copy and remove some."""
    found = {
        f"{at // 50}/{at:03}.txt": f"document {at % 240} \u00e9\n".encode() * (at % 7) for at in range(300)
    }
    if version:
        for at in range(0, 300, 9):
            found[f"{at // 50}/{at:03}.txt"] += b"and more\n" * version
        for at in range(4, 300, 31):
            found[f"renamed/{at}.txt"] = found.pop(f"{at // 50}/{at:03}.txt")
        for at in range(5, 300, 37):
            if (data := found.get(f"{at // 50}/{at:03}.txt")) is not None:
                found[f"-copies/{at}.txt"] = data
        found |= {f"new/{at}.txt": f"new document {at} of version {version}\n".encode() for at in range(20)}
        for at in range(6, 300, 41):
            found.pop(f"{at // 50}/{at:03}.txt", None)
    return found


def large() -> dict[str, bytes]:
    """A document of several parts beside small ones, with a character cut by the boundary of a part."""
    line = "0123456789 abcdefghijklmnopqrstuvwxyz \u00e4\u4e2d\U0001f4a1.\n".encode()
    return {
        "1.txt": b"before",
        "2.txt": (line * (LARGE // len(line) + 1))[: LARGE // len(line) * len(line)],
        "3.txt": b"y" * 5_000_000,
        "4.txt": ("\u00e9" * 3_000_000).encode("latin-1"),
        "5.txt": b"after",
    }


def folder_of(files: Mapping[str, bytes]) -> Callable[[Path], Fetched]:
    """A folder with these files."""

    def write(at: Path) -> Fetched:
        for name, data in files.items():
            path = at / "in" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return Fetched("folder", path=at / "in")

    return write


def tar_of(files: Mapping[str, bytes], pack: Callable[[bytes], bytes] = bytes) -> Callable[[Path], Fetched]:
    """A tar archive of these files, with a link, a folder and a path that occurs twice."""

    def write(at: Path) -> Fetched:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            for name, data in [*files.items(), ("a.txt", b"the same path again")]:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
            link = tarfile.TarInfo("link.txt")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(link)
        (at / "in.tar").write_bytes(pack(out.getvalue()))
        return Fetched("archive", path=at / "in.tar")

    return write


def zip_of(files: Mapping[str, bytes]) -> Callable[[Path], Fetched]:
    """A zip archive of these files."""

    def write(at: Path) -> Fetched:
        with zipfile.ZipFile(at / "in.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                if "\udcff" not in name:
                    archive.writestr(zipfile.ZipInfo(name), data)
        return Fetched("archive", path=at / "in.zip")

    return write


def file_of(data: bytes) -> Callable[[Path], Fetched]:
    """A single file."""

    def write(at: Path) -> Fetched:
        (at / "in.txt").write_bytes(data)
        return Fetched("file", path=at / "in.txt")

    return write


def text_of(text: str) -> Callable[[Path], Fetched]:
    """A text without a file."""
    return lambda _: Fetched("text", text=text, details={"name": "text"})


CORPORA: dict[str, tuple[Callable[[Path], Fetched], dict[str, Any]]] = {
    "folder": (folder_of(few()), {}),
    "folder-lf-replace": (folder_of(few()), {"newline": "lf", "errors": "replace"}),
    "folder-included": (folder_of(few()), {"include": ["*.txt"], "exclude": ["sub"]}),
    "tar": (tar_of(few()), {}),
    "tar-gz": (tar_of(few(), lambda data: gzip.compress(data, mtime=0)), {}),
    "zip": (zip_of(few()), {}),
    "many": (folder_of(many()), {}),
    "many-tar": (tar_of(many()), {}),
    "large": (folder_of(large()), {}),
    "large-tar": (tar_of(large()), {}),
    "one-file": (file_of(b"To be, or not to be, that is the question.\n" * 100), {}),
    "one-compressed-file": (file_of(gzip.compress("gr\u00f6\u00dfer\n".encode() * 100, mtime=0)), {}),
    "text": (text_of("hello \u2603 " * 30), {}),
}
ENCODINGS: dict[str, tuple[TokenizerConfig, SplitConfig]] = {
    "char": (TokenizerConfig(), SplitConfig()),
    "char-by-documents": (TokenizerConfig(), SplitConfig(by="documents", train=0.6, val=0.2, test=0.2)),
    "char-contiguous": (TokenizerConfig(), SplitConfig(by="contiguous", train=0.6, val=0.2, test=0.2)),
    "nibbles-by-documents": (TokenizerConfig(min_count=50), SplitConfig(by="documents")),
    "nibbles-contiguous": (TokenizerConfig(min_count=50), SplitConfig(by="contiguous")),
    "byte": (TokenizerConfig(name="byte"), SplitConfig()),
    "byte-by-documents": (
        TokenizerConfig(name="byte"),
        SplitConfig(by="documents", train=0.5, val=0.5, test=0),
    ),
    "byte-contiguous": (
        TokenizerConfig(name="byte"),
        SplitConfig(by="contiguous", train=0.5, val=0.3, test=0.2),
    ),
}
FOR_LARGE = ("char-contiguous", "nibbles-by-documents", "byte-by-documents")


def content_digest(folder: Path, facts: Mapping[str, Any]) -> str:
    """A digest of what the object holds: the rows of its Parquet files by row group, the bytes of the others."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for path in sorted(folder.rglob("*")):
        digest.update(path.name.encode())
        if path.suffix != ".parquet":
            digest.update(path.read_bytes())
            continue
        with pq.ParquetFile(path) as file:
            digest.update(repr(sorted((file.schema_arrow.metadata or {}).items())).encode())
            for group in range(file.num_row_groups):
                digest.update(repr(file.read_row_group(group).to_pydict()).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:16]


def recorded(folder: Path, facts: Mapping[str, Any]) -> list[str]:
    """The two digests of an object."""
    return [describe(folder, "golden", facts).digest[:16], content_digest(folder, facts)]


def digests(name: str, at: Path, parallel: ParallelMap = DIRECT) -> Iterator[tuple[str, list[str]]]:
    """(object, digests) of a corpus."""
    write, settings = CORPORA[name]
    documents = fresh(at / "documents")
    facts = ingested(write(fresh(at / "source")), documents, parallel, **settings)
    yield name, recorded(documents, facts)
    for setting, (tokenizer, split) in ENCODINGS.items():
        if name.startswith("large") and setting not in FOR_LARGE:
            continue
        made = encoded(documents, at / setting, tokenizer, split, parallel=parallel)
        yield from ((f"{name}/{setting}/{kind}", found) for kind, found in made)


def ingested(fetched: Fetched, documents: Path, parallel: ParallelMap, **settings: Any) -> dict[str, Any]:
    """The facts of the documents, which are written to `documents`."""
    config = CorpusConfig(sources=["x"], **settings)
    if parallel.processes > 1:
        return ingest_in_parallel(fetched, config, documents, parallel)
    return ingest(fetched, config, documents)


def encoded(
    documents: Path,
    at: Path,
    tokenizer: TokenizerConfig,
    split: SplitConfig,
    earlier: Path | None = None,
    parallel: ParallelMap = DIRECT,
) -> Iterator[tuple[str, list[str]]]:
    """The digests of the vocabulary and of the tokens of `documents`, which are written to `at`/tokens."""
    vocabulary, tokens = fresh(at / "vocabulary"), fresh(at / "tokens")
    facts = learn_vocabulary(documents, TOKENIZERS[tokenizer.name], tokenizer, vocabulary, parallel=parallel)
    yield "vocabulary", recorded(vocabulary, facts)
    facts = encode(
        documents,
        load_vocabulary(vocabulary, TOKENIZERS),
        split,
        tokens,
        salt="golden",
        earlier=earlier,
        parallel=parallel,
        vocabulary=StoredVocabulary(str(vocabulary)),
    )
    yield "tokens", recorded(tokens, facts)


def versions(at: Path, parallel: ParallelMap = DIRECT) -> Iterator[tuple[str, list[str]]]:
    """The digests of three versions of a corpus, each encoded with the splits of the one before."""
    before: dict[str, Path] = {}
    for version in range(3):
        here = fresh(at / f"version-{version}")
        documents = fresh(here / "documents")
        ingested(folder_of(many(version))(here), documents, parallel)
        for setting, (tokenizer, split) in ENCODINGS.items():
            made = encoded(documents, here / setting, tokenizer, split, before.get(setting), parallel)
            yield from ((f"versions/{version}/{setting}/{kind}", found) for kind, found in made)
            before[setting] = here / setting / "tokens"


def fresh(folder: Path) -> Path:
    """A new folder."""
    folder.mkdir(parents=True)
    return folder
