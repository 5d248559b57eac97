"""What orchestration costs: a run whose stages are all done, beside a bare one-task Prefect flow.

    python benchmarks/orchestration.py [--repeat 5]

Both sides are measured in one go, alternating, each in a fresh process: `charpipe run` with the workspace's
server up and without it, and a flow of one trivial task on Prefect's own ephemeral server, first time (it
migrates its database) and after. Budgets: 3.5 s with the server up; without, no slower than the bare flow.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

RUN = [
    *("run", "train-and-sample", "--corpus", "hello", "--arch", "rnn", "--steps", "20"),
    *("--set", "architectures.rnn.hidden_size=3"),
]
BARE = """
from prefect import flow, task
@task
def one(): return 1
@flow
def bare(): return one()
bare()
"""


def timed(command: list[str], environ: dict[str, str], folder: Path) -> float:
    started = time.perf_counter()
    subprocess.run(command, env=environ, cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - started


def clean_environment(**more: str) -> dict[str, str]:
    private = ("PREFECT_", "MLFLOW_", "CHARPIPE_")
    return {key: value for key, value in os.environ.items() if not key.startswith(private)} | more


def measure(repeat: int) -> dict[str, list[float]]:
    folder = Path(tempfile.mkdtemp(prefix="charpipe-orchestration-"))
    charpipe = [sys.executable, "-c", "import sys; from charpipe.cli import main; sys.exit(main())"]
    ours = clean_environment(CHARPIPE_HOME=str(folder / "workspace"))
    bare = clean_environment(
        PREFECT_HOME=str(folder / "prefect"),
        PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="120",
        PREFECT_SERVER_ANALYTICS_ENABLED="false",
        DO_NOT_TRACK="true",
    )
    found: dict[str, list[float]] = {
        name: []
        for name in (
            "charpipe, first run (trains 20 steps)",
            "bare flow, first time",
            "charpipe, cached, server up",
            "charpipe, cached, no server",
            "bare flow, ephemeral server",
        )
    }
    try:
        found["bare flow, first time"].append(timed([sys.executable, "-c", BARE], bare, folder))
        found["charpipe, first run (trains 20 steps)"].append(timed([*charpipe, *RUN], ours, folder))
        for _ in range(repeat):
            found["charpipe, cached, server up"].append(timed([*charpipe, *RUN], ours, folder))
            subprocess.run([*charpipe, "down"], env=ours, cwd=folder, check=True, capture_output=True)
            found["charpipe, cached, no server"].append(timed([*charpipe, *RUN], ours, folder))
            found["bare flow, ephemeral server"].append(timed([sys.executable, "-c", BARE], bare, folder))
    finally:
        subprocess.run([*charpipe, "down"], env=ours, cwd=folder, check=False, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(options.repeat)
    load = os.getloadavg()[0]
    if options.json:
        print(json.dumps(found))
        return
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} cores, load {load:.1f},",
        end=" ",
    )
    print(", ".join(f"{name} {version(name)}" for name in ("charpipe", "prefect", "mlflow")))
    for name, seconds in found.items():
        print(
            f"{name:<40} median {statistics.median(seconds):6.2f} s   best {min(seconds):6.2f} s   n {len(seconds)}"
        )


if __name__ == "__main__":
    main()
