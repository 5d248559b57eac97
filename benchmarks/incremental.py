"""Ingesting a folder of which one document in a hundred changed: incrementally, and in full, in one run.

    python benchmarks/incremental.py FOLDER [--include '*.c' --include '*.h'] [--share 0.01]

FOLDER is left as it is: what changes is a copy of it made of hard links. Both results are compared byte for byte.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import tempfile
import time
from pathlib import Path

from charpipe import stages
from charpipe.config import load_config
from charpipe.plugins.registry import Registry
from charpipe.stages import Context
from charpipe.workspace import Workspace


def ingest(
    workspace: Path, corpus: Path, settings: dict[str, object]
) -> tuple[dict[str, float], stages.StageOutput]:
    """Seconds of the clock, and of the processor, which other work on the machine disturbs less."""
    context = Context(Workspace(workspace), load_config(settings=settings), Registry())
    clock, processor = time.perf_counter(), time.process_time()
    made = stages.ingest(context, str(corpus))
    seconds = {"clock": time.perf_counter() - clock, "processor": time.process_time() - processor}
    return {name: round(value, 2) for name, value in seconds.items()}, made


def change(folder: Path, share: float) -> int:
    """Change a share of the files: of those, eight in ten are edited, one is removed, one is added."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    chosen = random.Random(1).sample(files, max(1, round(share * len(files))))
    for at, path in enumerate(chosen):
        data = path.read_bytes()
        if at % 10 == 0:
            path.unlink()
        elif at % 10 == 1:
            path.with_name(f"new-{path.name}").write_bytes(data[::2])
        else:
            path.unlink()  # the hard link only
            path.write_bytes(data + b"\n/* changed */\n")
    return len(chosen)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--include", action="append", default=[])
    parser.add_argument("--share", type=float, default=0.01)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    source = arguments.folder.absolute()
    settings = {"corpus.include": arguments.include, "tracking.enabled": False}
    with tempfile.TemporaryDirectory(dir=source.parent, prefix="incremental-") as scratch:
        root = Path(scratch)
        corpus = root / "corpus"
        shutil.copytree(source, corpus, copy_function=os.link, symlinks=True)
        time.sleep(2.5)  # a file written this moment is not taken for unchanged
        first, made = ingest(root / "one", corpus, settings)
        changed = change(corpus, arguments.share)
        time.sleep(2.5)
        again, after = ingest(root / "one", corpus, settings)
        # the full one is given what is known of the files, too, so that only the ingestion differs
        (root / "two").mkdir()
        shutil.copytree(root / "one" / "downloads", root / "two" / "downloads")
        full, whole = ingest(root / "two", corpus, settings)
        cold, _ = ingest(root / "three", corpus, settings)
        unchanged, _ = ingest(root / "one", corpus, settings)
    assert after.digest == whole.digest, "the incremental result is not the full one"
    assert made.digest != after.digest
    result = {
        "documents": after.facts["documents"],
        "bytes": after.facts["bytes"],
        "changed": changed,
        "first_seconds": first,
        "full_seconds": full,
        "full_nothing_known_seconds": cold,
        "incremental_seconds": again,
        "unchanged_seconds": unchanged,
        "full_over_incremental": {name: round(full[name] / again[name], 2) for name in full},
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "date": time.strftime("%Y-%m-%d"),
    }
    print(json.dumps(result, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
