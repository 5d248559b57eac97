"""Looks at what a soak left behind, without a line of charpipe: reads JSON, SQLite, Parquet and safetensors itself.

python tests/soak/audit.py FOLDER
"""

from __future__ import annotations

import hashlib
import json
import platform
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import models

STARVING = {"kill-run", "kill-serve", "kill-server", "disk-full", "mlflow-locked"}
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
DISK_GROWTH = 1.6
"""How many more runs and objects may be kept in the last quarter than in the second, when retention is at work."""
LONG = 40
"""Measurements from which on that can be said."""
MEMORY_GROWTH = 1.35
"""How much the memory of a process may grow from the first half of its life to the second."""


def report(folder: Path, seconds: float | None = None, seed: int | None = None) -> tuple[str, list[str]]:
    """The report as Markdown, and everything that is wrong."""
    log = [json.loads(line) for line in (folder / "soak.jsonl").read_text().splitlines()]
    workspace = folder / ".charpipe"
    wrong: list[str] = []
    parts = [
        ("What was lived through", _life(log, wrong)),
        ("The store", _store(workspace, wrong)),
        ("Runs", _runs(workspace, wrong)),
        ("Champions", _champions(workspace, wrong)),
        ("Prefect", _prefect(workspace, wrong)),
        ("MLflow", _mlflow(workspace, wrong)),
        ("Growth", _growth(log, wrong)),
    ]
    lines = ["# A soak, and what it left behind", ""]
    facts = [f"Python {platform.python_version()}", platform.machine()]
    facts += [f"seed {seed}"] if seed is not None else []
    facts += [f"{seconds / 60:.1f} minutes"] if seconds is not None else []
    lines += [", ".join(facts), ""]
    lines += [f"**Found wrong: {len(wrong)}**", ""] + [f"* {one}" for one in wrong[:50]] + [""]
    for title, found in parts:
        lines += [f"## {title}", "", *[f"* {one}" for one in found], ""]
    return "\n".join(lines), wrong


def _life(log: list[dict[str, Any]], wrong: list[str]) -> list[str]:
    said = [line for line in log if line["soak"] == "said"]
    ended = [line for line in said if line["event"] == "ended"]
    states = Counter(line["state"] for line in ended)
    strikes = Counter(line["kind"] for line in log if line["soak"] == "fault")
    changes = Counter(
        change.split()[0] for line in log if line["soak"] == "changed" for change in line["changes"]
    )
    for line in log:
        if line["soak"] in ("stopped", "serve-ended") and line.get("wanted") != "kill-serve" and line["code"]:
            wrong.append(f"`charpipe serve` ended with {line['code']} when it was told to stop")
        if line["soak"] == "said" and line["event"] == "unreadable":
            wrong.append(f"`charpipe serve --json` said something that is no JSON: {line['line'][:100]!r}")
    quiet = [line for line in log if line["soak"] == "quiet"]
    last = [line for line in ended if quiet and line["at"] > quiet[0]["at"]]
    if not last or last[-1]["state"] not in ("Completed", "Skipped"):
        told = f"{last[-1]['state']}: {last[-1]['message']}" if last else "nothing"
        wrong.append(f"the last run, which nothing disturbed, ended as {told}")
    starved = sum(count for kind, count in strikes.items() if kind in STARVING)
    return [
        f"{len(ended)} runs ended: {_counted(states)}",
        f"{sum(strikes.values())} faults, {starved} of them killed or starved something: {_counted(strikes)}",
        f"documents: {_counted(changes)}",
        f"skipped by policy: {sum(line['runs'] for line in said if line['event'] == 'skipped')}; "
        f"resumed automatically: {sum('next' in line for line in ended)}",
    ]


def _store(workspace: Path, wrong: list[str]) -> list[str]:
    objects = [path for path in (workspace / "store" / "objects").iterdir() if not path.name.startswith(".")]
    for folder in objects:
        manifest = _json(folder / "manifest.json", wrong)
        if manifest is None:
            continue
        if _digest_json(manifest) != folder.name:
            wrong.append(f"object {folder.name[:12]}: its manifest has another digest")
        wrong += [f"object {folder.name[:12]}: {one}" for one in _altered(folder, manifest)]
    actions = list((workspace / "store" / "actions").glob("*.json"))
    names = {folder.name for folder in objects}
    dangling = 0
    for path in actions:
        action = _json(path, wrong)
        if action is not None and _digest_json(action["action"]) != path.stem:
            wrong.append(f"action {path.stem[:12]}: what it says has another digest")
        dangling += action is not None and action["object"] not in names
    return [
        f"{len(objects)} objects, every file with the digest that its manifest states; {len(actions)} actions",
        *([f"{dangling} actions whose object was collected"] if dangling else []),
    ]


def _runs(workspace: Path, wrong: list[str]) -> list[str]:
    states: Counter[str] = Counter()
    checkpoints = 0
    for folder in sorted((workspace / "runs").iterdir()):
        info = _json(folder / "run.json", []) if (folder / "run.json").is_file() else None
        if info is None:
            states["without run.json: killed while it was made"] += 1
            continue
        status = _json(folder / "status.json", wrong) or {}
        states[status.get("state", "none")] += 1
        for path in folder.glob("checkpoints/step-*/manifest.json"):
            checkpoints += 1
            manifest = _json(path, wrong)
            if manifest is not None:
                wrong += [
                    f"{folder.name}/{path.parent.name}: {one}" for one in _altered(path.parent, manifest)
                ]
        for which in ("best", "last"):
            entry = status.get(which)
            if status.get("state") == "finished" and (not entry or not (folder / entry["path"]).is_dir()):
                wrong.append(f"{folder.name}: finished, without its {which} checkpoint")
        wrong += [f"{folder.name}: {one}" for one in _torn(folder / "metrics.jsonl", status.get("state"))]
    return [
        f"{sum(states.values())} runs: {_counted(states)}",
        f"{checkpoints} checkpoints, each with whole files",
    ]


def _champions(workspace: Path, wrong: list[str]) -> list[str]:
    found = []
    for room in sorted((workspace / "champions").glob("*")):
        if (room / "champion.json").is_file():
            found += _champion(workspace, room, wrong)
    return found or ["none: the pipeline of this soak makes no champions"]


def _champion(workspace: Path, room: Path, wrong: list[str]) -> list[str]:
    state = _json(room / "champion.json", wrong)
    lines = [json.loads(line) for line in (room / "audit.jsonl").read_text().splitlines() if line]
    versions = {int(path.parent.name): _json(path, wrong) for path in room.glob("versions/*/version.json")}
    for line in lines:
        body = {key: value for key, value in line.items() if key != "digest"}
        if _digest_json(body) != line["digest"]:
            wrong.append(f"{room.name}: a line of the audit was altered ({line['time']})")
    promoted = [line for line in lines if line["promoted"]]
    present: int | None = None
    for line in promoted:
        before = (line["champion"] or {}).get("version")
        if before != present:
            wrong.append(
                f"{room.name}: version {line['version']} replaced {before}, but {present} was champion"
            )
        present = line["version"]
        wrong += [f"{room.name} version {present}: {one}" for one in _unfounded(line)]
    if state is None or state["champion"]["version"] != present:
        wrong.append(f"{room.name}: the champion is not the one that was promoted last")
    for number, version in versions.items():
        for name, digest in (version or {}).get("files", {}).items():
            path = workspace / version["path"] / name
            if not path.is_file() or _digest(path) != digest:
                wrong.append(f"{room.name} version {number}: {name} is gone or altered")
    rescored = _rescore(workspace, room, promoted, versions, wrong)
    reasons = Counter(_kind(line) for line in lines if not line["promoted"])
    return [
        f"{room.name}: {len(lines)} decisions, {len(promoted)} promotions, {len(versions)} versions kept",
        f"{room.name}: {rescored}",
        f"{room.name}: not promoted: {_counted(reasons)}",
    ]


def _unfounded(line: dict[str, Any]) -> Iterator[str]:
    """Whether what a promotion states about itself would not have allowed it."""
    if line["champion"] is None or line.get("event") == "rollback" or line["by"] == "user":
        return
    if line.get("difference") is None:
        if "not finite" not in line["reason"]:
            yield f"promoted without a comparison: {line['reason']}"
        return
    if line["difference"] >= 0 or line["probability"] < line["confidence"]:
        yield f"promoted although it was not significantly better ({line['difference']}, {line['probability']})"
    scores = line["validation"]
    if not scores["challenger"] < scores["champion"]:
        yield f"promoted with the worse score ({scores})"


def _rescore(
    workspace: Path, room: Path, promoted: list[dict[str, Any]], versions: dict[int, Any], wrong: list[str]
) -> str:
    """Score challenger and champion of every promotion again, with a network of our own, on the held-out text."""
    done, probabilities = 0, []
    for line in promoted:
        before = (line["champion"] or {}).get("version")
        tokens = workspace / "store" / "objects" / str(line.get("tokens"))
        if before not in versions or line["version"] not in versions or not tokens.is_dir():
            continue
        ours, theirs = (
            models.Network(workspace / versions[one]["path"]) for one in (line["version"], before)
        )
        compared = models.compare(ours, theirs, models.held_out(tokens, ours))
        done += 1
        probabilities.append(compared)
        if compared < models.LEAST:
            wrong.append(
                f"{room.name} version {line['version']}: scored again, it is better than version {before} in only "
                f"{compared:.0%} of resamples"
            )
    if not done:
        return "no promotion over another champion whose models and text are both still there"
    return (
        f"{done} promotions scored again by another network on the same text: better in {min(probabilities):.1%} of "
        "resamples at least"
    )


def _prefect(workspace: Path, wrong: list[str]) -> list[str]:
    with closing(sqlite3.connect(workspace / "prefect" / "prefect.db")) as database:
        if database.execute("pragma integrity_check").fetchone() != ("ok",):
            wrong.append("Prefect's database is damaged")
        rows = database.execute("select state_type, state_name, auto_scheduled from flow_run").fetchall()
    unfinished = [name for type_, name, _ in rows if type_ not in FINAL and type_ != "SCHEDULED"]
    if unfinished:
        wrong.append(f"Prefect takes {len(unfinished)} runs to be going on: {_counted(Counter(unfinished))}")
    ended = Counter(name for type_, name, _ in rows if type_ in FINAL)
    return [
        f"{sum(ended.values())} flow runs ended: {_counted(ended)}; {len(unfinished)} taken to be going on"
    ]


def _mlflow(workspace: Path, wrong: list[str]) -> list[str]:
    path = workspace / "mlflow" / "mlflow.db"
    if not path.is_file():
        return ["tracking was off"]
    with closing(sqlite3.connect(path)) as database:
        if database.execute("pragma integrity_check").fetchone() != ("ok",):
            wrong.append("MLflow's database is damaged")
        states = Counter(row[0] for row in database.execute("select status from runs").fetchall())
        metrics = database.execute("select count(*) from metrics").fetchone()[0]
    finished = list((workspace / "runs").glob("*/results/evaluate.json"))
    if finished and not states:
        wrong.append(f"{len(finished)} runs were scored, and MLflow knows none of them")
    return [f"runs: {_counted(states)}; {metrics:,} metrics; the database is whole"]


def _growth(log: list[dict[str, Any]], wrong: list[str]) -> list[str]:
    measured = [line for line in log if line["soak"] == "measured"]
    if len(measured) < 2:
        return ["too short to say"]
    first, last = measured[0], measured[-1]
    found = []
    for room, size in sorted(last["bytes"].items(), key=lambda item: -item[1])[:6]:
        rate = (size - first["bytes"].get(room, 0)) / max(1, last["ended"] - first["ended"])
        found.append(f"{room}: {size / 1e6:.1f} MB, {rate / 1e3:+.1f} kB a run")
    counts = last["counts"]
    found.append(f"{counts['runs']} runs and {counts['objects']} objects at the end")
    if len(measured) >= LONG:
        for what in ("runs", "objects"):
            numbers = [line["counts"][what] for line in measured]
            early, late = (
                _median(numbers[len(numbers) // 4 : len(numbers) // 2]),
                _median(numbers[-len(numbers) // 4 :]),
            )
            found.append(f"{what} kept: {early} in the second quarter, {late} in the last (medians)")
            if late > early * DISK_GROWTH:
                wrong.append(f"the number of {what} grew from {early} to {late}, although `charpipe gc` ran")
    for who in ("serve", "server"):
        sizes = [line["memory"][who] for line in measured if line["memory"].get(who)]
        if len(sizes) < 8:
            continue
        half = len(sizes) // 2
        early, late = _median(sizes[:half]), _median(sizes[half:])
        found.append(
            f"memory of the {who}: {early / 1e6:.0f} MB, later {late / 1e6:.0f} MB (medians of the halves)"
        )
        if late > early * MEMORY_GROWTH:
            wrong.append(f"the memory of the {who} grew from {early / 1e6:.0f} to {late / 1e6:.0f} MB")
    return found


def _median(numbers: list[int]) -> int:
    return sorted(numbers)[len(numbers) // 2]


def _altered(folder: Path, manifest: dict[str, Any]) -> Iterator[str]:
    for name, expected in manifest["files"].items():
        path = folder / name
        if not path.is_file():
            yield f"{name} is missing"
        elif path.stat().st_size != expected["bytes"] or _digest(path) != expected["sha256"]:
            yield f"{name} is not what the manifest states"


def _torn(path: Path, state: str | None) -> Iterator[str]:
    """A finished run's metrics can be read to the last line, in order."""
    if state != "finished" or not path.is_file():
        return
    try:
        steps = [json.loads(line)["step"] for line in path.read_text().splitlines()]
    except ValueError:
        yield "metrics.jsonl holds a torn line"
        return
    if steps != sorted(steps):
        yield "the steps of metrics.jsonl are out of order"


def _json(path: Path, wrong: list[str]) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        wrong.append(f"{path.parent.name}/{path.name} cannot be read: {error}")
        return None


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _digest_json(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _kind(line: dict[str, Any]) -> str:
    reason = str(line["reason"])
    for mark in (
        "not significantly",
        "worse",
        "no better",
        "too few texts",
        "not finite",
        "other splits",
        "rolled back",
    ):
        if mark in reason:
            return mark
    return reason[:60]


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common()) or "none"


if __name__ == "__main__":
    text, found = report(Path(sys.argv[1]))
    print(text)
    sys.exit(bool(found))
