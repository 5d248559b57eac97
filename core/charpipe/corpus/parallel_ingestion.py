"""Ingestion in several processes, with the same result as in one.

This process lists the members, and unpacks them where the source is an archive. Others read bundles of them into rows,
in Arrow files. The sizes of the rows say where row groups and shards end, so that each shard can then be written by any
process.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from charpipe.config.settings.corpus import CorpusConfig
from charpipe.corpus.bundles import Bundle, folder_bundles, spooled_bundles
from charpipe.corpus.compressed import Unpacker
from charpipe.corpus.document_writer import Boundaries, DocumentWriter, batch_of
from charpipe.corpus.documents import SCHEMA, Part, text_bounds
from charpipe.corpus.exclusions import LeftOut
from charpipe.corpus.file_lists import NotesWriter, RejectedWriter
from charpipe.corpus.ingestion import READING, Ingestion, open_members
from charpipe.corpus.ingestion_result import check_result
from charpipe.corpus.limits import Limits
from charpipe.corpus.members import NOTHING, Progress, listed_members
from charpipe.corpus.selection import Selection
from charpipe.corpus.tally import Tally
from charpipe.parallel import ParallelMap
from charpipe.parallel.work_folder import work_folder
from charpipe.plugin import Fetched
from charpipe.store.sqlite import database_errors

AHEAD = 24
"""Bundles that are read while a shard is written."""
_BATCH_BYTES = 8 * 10**6
_BATCH_ROWS = 1 << 14


def ingest_in_parallel(
    fetched: Fetched,
    config: CorpusConfig,
    folder: Path,
    parallel: ParallelMap,
    progress: Progress = lambda done, total: None,
    *,
    unchanged: Callable[[], bool] = lambda: True,
    limits: Limits | None = None,
    left_out: LeftOut = NOTHING,
) -> dict[str, Any]:
    """`ingest` with the processes of `parallel`."""
    limits = limits or Limits()
    with ExitStack() as stack:
        stack.enter_context(database_errors(fetched.origin))
        work = stack.enter_context(work_folder(folder))
        tally = Tally(stack.enter_context(RejectedWriter(folder)), stack.enter_context(NotesWriter(folder)))
        job = _Job(config, folder, work, parallel, limits, tally)
        selection = Selection.of(config, fetched.only)
        if fetched.path is not None and fetched.path.is_dir():
            bundles = folder_bundles(fetched.path, listed_members(fetched.path, selection, left_out))
            job.run(bundles, lambda: progress(tally.counts["bytes"], None))
        else:
            members, position, total = stack.enter_context(
                open_members(fetched, selection, limits, None, left_out)
            )
            done = position or (lambda: tally.counts["bytes"])
            job.run(spooled_bundles(work, members), lambda: progress(done(), total))
        facts = tally.facts(job.shards.ended)
    check_result(fetched, config, facts, tally.listed, unchanged)
    return facts


@dataclass
class _Shards:
    """Rows in the files of bundles, divided into shards; `ended` counts the shards."""

    boundaries: Boundaries = field(default_factory=Boundaries)
    ended: int = 0
    _rows: list[tuple[str, int, int]] = field(default_factory=list)

    def add(self, path: str, sizes: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Add the rows of a file, whose texts have these sizes; yields the shards that are complete."""
        ends = np.cumsum(sizes, dtype=np.int64)
        start = at = 0
        while at < len(ends):
            before = int(ends[at - 1]) if at else 0
            taken = self.boundaries.fitting(ends[at:] - before)
            full = self.boundaries.add(taken, int(ends[at + taken - 1]) - before)
            at += taken
            if full and self.boundaries.end_group():
                self._rows.append((path, start, at))
                yield self._end()
                start = at
        if start < at:
            self._rows.append((path, start, at))

    def finish(self) -> Iterator[dict[str, Any]]:
        """Yields the last shard, if any rows are left."""
        if self._rows:
            yield self._end()

    def _end(self) -> dict[str, Any]:
        shard = {"number": self.ended, "rows": self._rows}
        self._rows, self.ended = [], self.ended + 1
        return shard


@dataclass
class _Job:
    """One call of `ingest_in_parallel`."""

    config: CorpusConfig
    folder: Path
    work: Path
    parallel: ParallelMap
    limits: Limits
    tally: Tally
    shards: _Shards = field(default_factory=_Shards)

    def __post_init__(self) -> None:
        self._ready: deque[dict[str, Any]] = deque()
        self._unpacker = Unpacker(self.limits)
        self._last = ""
        boundaries = self.shards.boundaries
        self._boundaries = {
            name: getattr(boundaries, name) for name in ("group_bytes", "group_rows", "shard_bytes")
        }

    def run(self, bundles: Iterable[Bundle], report: Callable[[], None]) -> None:
        """Read the bundles and write the shards."""
        for result in self.parallel.map(ingest_task, self._calls(bundles), report, AHEAD):
            self._take(result)
            report()
        self._ready += [self._write(shard) for shard in self.shards.finish()]
        for result in self.parallel.map(ingest_task, list(self._ready), report):
            self._take(result)

    def _calls(self, bundles: Iterable[Bundle]) -> Iterator[dict[str, Any]]:
        settings = self.config.model_dump(mode="json", include=READING)
        for number, bundle in enumerate(bundles):
            while self._ready:
                yield self._ready.popleft()
            yield {
                "read": {
                    "bundle": bundle.to_json(),
                    "settings": settings,
                    "limits": asdict(self.limits),
                    "path": str(self.work / f"{number}.arrow"),
                }
            }

    def _write(self, shard: dict[str, Any]) -> dict[str, Any]:
        return {
            "write": {
                **shard,
                "folder": str(self.folder),
                "newline": self.config.form,
                "boundaries": self._boundaries,
            }
        }

    def _take(self, result: dict[str, Any]) -> None:
        """Take the result of a bundle or of a shard. Results come in order: files whose rows are all in shards that
        are written are removed."""
        if "written" in result:
            *done, last = result["written"]
            for path in {self._last, *done} - {last, ""}:
                Path(path).unlink(missing_ok=True)
            self._last = last
            return
        if result["spool"]:  # not before: a call is made again when its machine is lost
            Path(result["spool"]).unlink()
        self._unpacker.check(result["unpacked"])
        self.tally.add(result["facts"])
        for path, reason, size in result["rejected"]:
            self.tally.reject(path, reason, size)
        for path, note in result["notes"]:
            self.tally.note(path, note)
        self._ready += [self._write(shard) for shard in self.shards.add(result["path"], result["sizes"])]


def ingest_task(read: dict[str, Any] | None = None, write: dict[str, Any] | None = None) -> dict[str, Any]:
    """Read a bundle, or write a shard, in another process."""
    if read is not None:
        return _read_bundle(**read)
    assert write is not None
    _write_shard(**write)
    return {"written": [path for path, _, _ in write["rows"]]}


def _read_bundle(
    bundle: dict[str, Any], settings: dict[str, Any], limits: dict[str, Any], path: str
) -> dict[str, Any]:
    """Read a bundle's members into the Arrow file `path`."""
    log: list[tuple[str, int, int]] = []
    rejected, notes = _Listed(), _Listed()
    tally = Tally(rejected, notes)
    config = CorpusConfig(sources=["bundle"], **settings)
    members = Bundle(**bundle)
    with _RowsFile(path) as rows:
        work = Ingestion(config, Path(path).parent, rows, tally, Unpacker(Limits(**limits), log))
        for member in members.open():
            work.take(member)
    return {
        "spool": members.spool,
        "path": path,
        "sizes": rows.sizes,
        "facts": tally.facts(0),
        "rejected": rejected.rows,
        "notes": notes.rows,
        "unpacked": log,
    }


def _write_shard(
    number: int, rows: list[tuple[str, int, int]], folder: str, newline: Any, boundaries: dict[str, int]
) -> None:
    """Write rows of Arrow files as a shard."""
    with DocumentWriter(Path(folder), newline, number, Boundaries(**boundaries)) as writer:
        for path, start, stop in rows:
            with pa.memory_map(path) as source, pa.ipc.open_file(source) as file:
                at = 0
                for index in range(file.num_record_batches):
                    batch = file.get_batch(index)
                    first, last = max(start, at), min(stop, at + batch.num_rows)
                    if first < last:
                        writer.add_batch(batch.slice(first - at, last - first))
                    at += batch.num_rows


class _Listed:
    """Keeps what is added."""

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []

    def add(self, *row: Any) -> None:
        self.rows.append(row)


class _RowsFile:
    """Writes rows to an Arrow file; `sizes` are those of their texts."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._held: list[Part] = []
        self._size = 0
        self.sizes: list[int] = []

    def __enter__(self) -> _RowsFile:
        self._file = pa.OSFile(self._path, "wb")
        self._writer = pa.ipc.new_file(self._file, SCHEMA)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._flush()
        self._writer.close()
        self._file.close()

    def add(self, part: Part) -> None:
        """Add a row."""
        self._held.append(part)
        self._size += len(part.text)
        self.sizes.append(len(part.text))
        if self._size >= _BATCH_BYTES or len(self._held) >= _BATCH_ROWS:
            self._flush()

    def add_batch(self, rows: pa.RecordBatch) -> None:
        """Add rows that are in memory."""
        self._flush()
        self._writer.write_batch(rows)
        self.sizes += np.diff(text_bounds(rows)).tolist()

    def _flush(self) -> None:
        if self._held:
            self._writer.write_batch(batch_of(self._held))
        self._held, self._size = [], 0
