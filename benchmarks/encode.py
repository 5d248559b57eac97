"""How fast documents are counted and become tokens, with the `char` and the `byte` tokenizer.

    python benchmarks/encode.py linux-source-6.1_6.1.192-2_all.deb --include '*.c' '*.h'

Rates are bytes of text by the clock and by one core's time (`cpu`), reading Parquet and writing included. With
`--processes 1 2 --repeat 5` the numbers of processes take turns; the time of worker processes is not in `cpu`.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
from pathlib import Path

import charpipe_byte
import charpipe_char
from charpipe.config.settings.corpus import CorpusConfig
from charpipe.config.settings.text import SplitConfig, TokenizerConfig
from charpipe.corpus.ingestion import ingest
from charpipe.parallel import local_processes
from charpipe.plugin import Fetched
from charpipe.text.encoding import encode
from charpipe.text.token_tasks import StoredVocabulary
from charpipe.text.vocabulary import learn_vocabulary, load_vocabulary

TOKENIZERS = {
    tokenizer.name: tokenizer
    for plugin in (charpipe_char, charpipe_byte)
    for tokenizer in plugin.charpipe_tokenizers()
}


class Stopwatch:
    """Prints megabytes a second, by the clock and by processor time."""

    def __init__(self, size: int) -> None:
        self.size = size / 1e6
        self.start()

    def start(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def tell(self, what: str) -> None:
        wall, cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu
        print(
            f"{what:18} {wall:6.2f} s  {self.size / wall:6.0f} MB/s   cpu {self.size / cpu:6.0f} MB/s",
            flush=True,
        )


def measure(clock: Stopwatch, documents: Path, name: str, processes: int, folder: Path) -> None:
    """Time the vocabulary and the tokens of one tokenizer."""
    vocabulary, tokens = folder / "vocabulary", folder / "tokens"
    vocabulary.mkdir()
    tokens.mkdir()
    times = f" x{processes}" if processes > 1 else ""
    with local_processes(processes) as parallel:
        clock.start()
        learn_vocabulary(
            documents, TOKENIZERS[name], TokenizerConfig(name=name), vocabulary, parallel=parallel
        )
        clock.tell(f"vocabulary {name}{times}")
        encoding = load_vocabulary(vocabulary, TOKENIZERS)
        clock.start()
        encode(
            documents,
            encoding,
            SplitConfig(),
            tokens,
            salt="benchmark",
            parallel=parallel,
            vocabulary=StoredVocabulary(str(vocabulary)),
        )
        clock.tell(f"encode {name}{times}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--include", nargs="*", default=[])
    parser.add_argument("--processes", nargs="*", type=int, default=[1])
    parser.add_argument("--repeat", type=int, default=1)
    arguments = parser.parse_args()
    config = CorpusConfig(sources=[str(arguments.path)], include=arguments.include)
    with tempfile.TemporaryDirectory() as scratch:
        documents = Path(scratch, "documents")
        documents.mkdir()
        facts = ingest(Fetched("corpus", path=arguments.path), config, documents)
        clock = Stopwatch(facts["bytes"])
        for _ in range(arguments.repeat):
            for processes in arguments.processes:
                for name in TOKENIZERS:
                    with tempfile.TemporaryDirectory(dir=scratch) as folder:
                        measure(clock, documents, name, processes, Path(folder))
    print(f"{platform.machine()}, Python {platform.python_version()}")


if __name__ == "__main__":
    main()
