"""How fast documents are counted and become tokens, with the `char` and the `byte` tokenizer.

    python benchmarks/encode.py linux-source-6.1_6.1.192-2_all.deb --include '*.c' '*.h'

Rates are bytes of text by the clock and by one core's time (`cpu`), reading Parquet and writing included.
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
from charpipe.plugin import Fetched
from charpipe.text.encoding import encode
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--include", nargs="*", default=[])
    arguments = parser.parse_args()
    config = CorpusConfig(sources=[str(arguments.path)], include=arguments.include)
    with tempfile.TemporaryDirectory() as scratch:
        documents = Path(scratch, "documents")
        documents.mkdir()
        facts = ingest(Fetched("corpus", path=arguments.path), config, documents)
        clock = Stopwatch(facts["bytes"])
        for name, tokenizer in TOKENIZERS.items():
            vocabulary, tokens = Path(scratch, f"{name}-vocabulary"), Path(scratch, f"{name}-tokens")
            vocabulary.mkdir()
            tokens.mkdir()
            clock.start()
            learn_vocabulary(documents, tokenizer, TokenizerConfig(name=name), vocabulary)
            clock.tell(f"vocabulary {name}")
            encoding = load_vocabulary(vocabulary, TOKENIZERS)
            clock.start()
            encode(documents, encoding, SplitConfig(), tokens, salt="benchmark")
            clock.tell(f"encode {name}")
    print(f"{platform.machine()}, Python {platform.python_version()}")


if __name__ == "__main__":
    main()
