"""How fast an archive becomes documents, beside how fast it merely decompresses and is scanned.

    python benchmarks/ingest.py linux-source-6.1_6.1.192-2_all.deb --include '*.c' '*.h'

Both sides run in this process, one after the other, on the same file. The first is one thread of the standard
library (decompress, count newlines); the second uses two, so it needs two idle cores. Also prints the peak of
anonymous memory (RssAnon) while ingesting.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import lzma
import platform
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from charpipe.config.settings.corpus import CorpusConfig
from charpipe.corpus.ingestion import ingest
from charpipe.corpus.parallel_ingestion import ingest_in_parallel
from charpipe.parallel import local_processes
from charpipe.plugin import Fetched

CHUNK = 1 << 20
OPENERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}


def opened(file: IO[bytes]) -> IO[bytes]:
    """What the standard library makes of a compressed stream."""
    start = file.peek(16) if hasattr(file, "peek") else file.read(16)
    if not hasattr(file, "peek"):
        file.seek(0)
    return next((opener(file) for mark, opener in OPENERS.items() if start.startswith(mark)), file)


@contextmanager
def payload(path: Path) -> Iterator[IO[bytes]]:
    """The archive's decompressed tar; of a Debian package, that of the archive inside it."""
    with path.open("rb") as file:
        if file.read(8) != b"!<arch>\n":
            file.seek(0)
            yield opened(file)
            return
        while header := file.read(60):
            size = int(header[48:58])
            if header.startswith(b"data.tar"):
                break
            file.seek(size + size % 2, 1)
        with tarfile.open(fileobj=opened(file), mode="r|", bufsize=CHUNK) as outer:
            for member in outer:
                if member.isreg() and ".tar" in member.name:
                    inner = outer.extractfile(member)
                    assert inner is not None
                    with (lzma if member.name.endswith("xz") else bz2).open(inner) as stream:
                        yield stream
                    return


def scan(path: Path) -> int:
    """Decompress the archive and look at every byte of it; returns how many there are."""
    size, lines = 0, 0
    with payload(path) as stream:
        while chunk := stream.read(CHUNK):
            size += len(chunk)
            lines += chunk.count(b"\n")
    return size


@contextmanager
def watched() -> Iterator[list[int]]:
    """The peak of this process's anonymous memory, in kB, sampled every 50 ms."""
    peak, stop = [0], threading.Event()

    def watch() -> None:
        while not stop.wait(0.05):
            status = Path("/proc/self/status").read_text()
            peak[0] = max(peak[0], int(status.split("RssAnon:")[1].split()[0]))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--include", nargs="*", default=[])
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1, help="also ingest with so many processes")
    arguments = parser.parse_args()
    config = CorpusConfig(sources=[str(arguments.path)], include=arguments.include)
    for _ in range(arguments.repeat):
        started, cpu = time.perf_counter(), time.process_time()
        size = scan(arguments.path)
        plain, plain_cpu = time.perf_counter() - started, time.process_time() - cpu
        with tempfile.TemporaryDirectory() as folder, watched() as peak:
            started, cpu = time.perf_counter(), time.process_time()
            facts = ingest(Fetched("archive", path=arguments.path), config, Path(folder))
            ours, ours_cpu = time.perf_counter() - started, time.process_time() - cpu
        print(
            f"decompress and scan  {plain:6.1f} s  (cpu {plain_cpu:5.1f} s)  {size / plain / 1e6:6.0f} MB/s of tar"
        )
        print(
            f"ingest               {ours:6.1f} s  (cpu {ours_cpu:5.1f} s) {facts['bytes'] / ours / 1e6:6.0f} MB/s text"
        )
        print(f"ratio                {plain / ours:6.2f}     (0.80 or more is the budget)")
        print(f"peak anonymous memory {peak[0] / 1e3:.0f} MB")
        if arguments.processes > 1:
            started = time.perf_counter()
            with tempfile.TemporaryDirectory() as folder, local_processes(arguments.processes) as parallel:
                ingest_in_parallel(Fetched("archive", path=arguments.path), config, Path(folder), parallel)
            several = time.perf_counter() - started
            print(
                f"{arguments.processes} processes          {several:6.1f} s   {ours / several:.2f} times as fast as one"
            )
    print(f"{platform.machine()}, Python {platform.python_version()}")


if __name__ == "__main__":
    main()
