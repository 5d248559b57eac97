"""Memory and time of ingest, vocabulary and encode for a corpus of many small documents.

    python benchmarks/documents.py                        # a tar archive of 200,000 documents, 1 and 2 processes
    python benchmarks/documents.py --documents 2000000
    python benchmarks/documents.py --folder               # a folder of as many files

Each stage runs in a process of its own. Its peak of anonymous memory (RssAnon, sampled every 20 ms) is given for the
process itself and for it together with its worker processes. The objects of all numbers of processes are compared.
Documents have 15 to 600 characters; one in ten is a copy of another, one in twenty is not ASCII.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

POOL = " ".join(random.Random(1).choices([f"word{at:x}" for at in range(4096)], k=1 << 16)).encode()
STAGES = ("ingest", "vocabulary", "encode", "encode again")


def text(at: int) -> bytes:
    """The text of a document."""
    source = at - 5 if at % 10 == 9 else at
    begin, length = source * 7919 % (len(POOL) - 1000), source * 31 % 600
    return b"document %d: %b%b\n" % (
        source,
        POOL[begin : begin + length],
        b"" if source % 20 else b" \xc3\xa9",
    )


def name(at: int) -> str:
    """The path of a document."""
    return f"documents/{at // 1000:05}/{at * 2654435761 % 2**32:08x}.txt"


def write_archive(path: Path, count: int) -> None:
    """Write the documents as a tar archive; tarfile would take longer than ingest."""
    with path.open("wb") as archive:
        for at in range(count):
            data = text(at)
            start = f"{name(at)}".encode().ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2
            start += b"%011o\0" % len(data) + b"0" * 11 + b"\0"
            end = b"0".ljust(101, b"\0") + b"ustar\x0000"
            checksum = sum(start) + sum(end) + 8 * 32
            header = (start + b"%06o\0 " % checksum + end).ljust(512, b"\0")
            archive.write(header + data + bytes(-len(data) % 512))
        archive.write(bytes(1024))


def write_folder(path: Path, count: int) -> None:
    """Write the documents as files."""
    for at in range(count):
        file = path / name(at)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text(at))


def anonymous(pid: int) -> int:
    """The anonymous memory of a process, in kB."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return int(status.split("RssAnon:")[1].split()[0]) if "RssAnon:" in status else 0


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in path.read_text().split()]
        except OSError:
            continue
    return found


@contextmanager
def watched() -> Iterator[dict[str, int]]:
    """The peaks of this process's anonymous memory, and of that of all its processes together, in kB."""
    peak, stop = {"alone": 0, "together": 0}, threading.Event()

    def watch() -> None:
        while not stop.wait(0.02):
            own = anonymous(pid)
            peak["alone"] = max(peak["alone"], own)
            peak["together"] = max(peak["together"], own + sum(map(anonymous, children(pid))))

    pid = os.getpid()
    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()


def run_stage(stage: str, source: Path, out: Path, processes: int) -> dict[str, Any]:
    """Run one stage in this process."""
    from charpipe.config.settings.corpus import CorpusConfig
    from charpipe.config.settings.text import SplitConfig
    from charpipe.corpus.fingerprint import survey
    from charpipe.corpus.ingestion import ingest
    from charpipe.corpus.parallel_ingestion import ingest_in_parallel
    from charpipe.parallel import local_processes
    from charpipe.plugin import Fetched
    from charpipe.plugins.registry import Registry
    from charpipe.store.manifest import describe
    from charpipe.text import encode, learn_vocabulary, load_vocabulary
    from charpipe.text.token_tasks import StoredVocabulary

    folder = out / stage
    folder.mkdir()
    started = time.perf_counter()
    with watched() as peak, local_processes(processes) as parallel:
        if stage == "ingest":
            config, fetched = CorpusConfig(sources=["x"]), Fetched("x", path=source)
            survey(fetched, config, out)
            if processes == 1:
                facts = ingest(fetched, config, folder)
            else:
                facts = ingest_in_parallel(fetched, config, folder, parallel)
        else:
            tokenizers = Registry().all("tokenizer")
            if stage == "vocabulary":
                config = CorpusConfig(sources=["x"])
                facts = learn_vocabulary(
                    out / "ingest", tokenizers["char"], config.tokenizer, folder, parallel=parallel
                )
            else:
                facts = encode(
                    out / "ingest",
                    load_vocabulary(out / "vocabulary", tokenizers),
                    SplitConfig(),
                    folder,
                    salt="benchmark",
                    earlier=out / "encode" if stage == "encode again" else None,
                    parallel=parallel,
                    vocabulary=StoredVocabulary(str(out / "vocabulary")),
                )
    seconds = time.perf_counter() - started
    return {"seconds": seconds, **peak, "digest": describe(folder, stage, facts).digest, "facts": facts}


def apart(stage: str, source: Path, out: Path, processes: int) -> dict[str, Any]:
    """`run_stage` in a new process."""
    command = [sys.executable, __file__, "--one", stage, str(source), str(out), str(processes)]
    found: dict[str, Any] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--stages", nargs="*", default=STAGES, choices=STAGES)
    parser.add_argument("--folder", action="store_true")
    parser.add_argument("--scratch", type=Path, help="folder for temporary files")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        stage, source, out, processes = chosen.one
        print(json.dumps(run_stage(stage, Path(source), Path(out), int(processes))))
        return
    with tempfile.TemporaryDirectory(dir=chosen.scratch) as scratch:
        source = Path(scratch, "source")
        (write_folder if chosen.folder else write_archive)(source, chosen.documents)
        digests: dict[str, set[str]] = {stage: set() for stage in STAGES}
        print(f"{chosen.documents:,} documents as a {'folder' if chosen.folder else 'tar archive'}\n")
        print(
            "| stage | processes | s | peak MB, itself | with its workers |\n| --- | ---: | ---: | ---: | ---: |"
        )
        for processes in chosen.processes:
            with tempfile.TemporaryDirectory(dir=scratch) as out:
                for stage in chosen.stages:
                    found = apart(stage, source, Path(out), processes)
                    digests[stage].add(found["digest"])
                    peaks = f"{found['alone'] / 1e3:.0f} | {found['together'] / 1e3:.0f}"
                    print(f"| {stage} | {processes} | {found['seconds']:.1f} | {peaks} |", flush=True)
        same = all(len(found) <= 1 for found in digests.values())
        print(f"\nobjects are {'the same' if same else 'DIFFERENT'} for all numbers of processes")
    print(f"{platform.machine()}, Python {platform.python_version()}")


if __name__ == "__main__":
    main()
