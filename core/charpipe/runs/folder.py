"""The run folder: `run.json` holds the request, `status.json` the current state."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from charpipe.errors import RunError
from charpipe.runs.shared_record import read_record
from charpipe.store.atomic import write_json

SCHEMA = "charpipe.run/1"
State = Literal["new", "running", "interrupted", "failed", "finished"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore")


class PluginUsed(_Model):
    """A plugin that a run used."""

    module: str
    version: str
    digest: str


class RunInfo(_Model):
    """The request of a run, with everything that its result depends on.

    `action`: the digest that decides whether the same command refers to this run. `settings`: all resolved values
    by dotted key. `origins`: where each value that is not a default came from. `inputs`: the content digests of
    documents, vocabulary and tokens. `request`: the pipeline and options that `charpipe resume` repeats.
    """

    schema_: str = Field(SCHEMA, alias="schema")
    name: str
    created: str
    action: str
    corpus: str
    architecture: str
    architecture_config: dict[str, Any]
    vocabulary_size: int
    inputs: dict[str, str]
    paths: dict[str, str] = Field(default_factory=dict)
    plugins: dict[str, PluginUsed] = Field(default_factory=dict)
    request: dict[str, Any] = Field(default_factory=dict)
    settings: dict[str, Any] = Field(default_factory=dict)
    origins: dict[str, str] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    facts: dict[str, Any] = Field(default_factory=dict)
    parent: str | None = None

    @property
    def is_trained_by_steps(self) -> bool:
        """Whether the training settings apply to the model; False for a count-based model."""
        return not self.facts.get("counted", False)

    def concerns(self, setting: str) -> bool:
        """Whether a setting applies to this run: `train.*` does not apply to a count-based model."""
        return setting in self.settings and (self.is_trained_by_steps or not setting.startswith("train."))


class Status(_Model):
    """The state of a run. `best` and `last` hold a checkpoint's step, relative path and metrics."""

    state: State = "new"
    step: int = 0
    steps: int | None = None
    seconds: float = 0.0
    error: str | None = None
    best: dict[str, Any] | None = None
    last: dict[str, Any] | None = None
    device: str | None = None
    precision: str | None = None
    parameters: int | None = None
    engine: str | None = None
    engine_reason: str | None = None
    """Why this engine was chosen."""
    metrics: dict[str, float] = Field(default_factory=dict)
    comparison: str | None = None
    """The comparison that last trained or ranked it."""
    mlflow: dict[str, Any] = Field(default_factory=dict)
    prefect: dict[str, Any] = Field(default_factory=dict)


class Run:
    """A run at `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def create(cls, folder: Path, info: RunInfo, vocabulary: bytes = b"{}") -> Run:
        """Create the folder of a new run. `run.json`, which marks it as a run, is written last.

        Raises RunError if the folder exists.
        """
        try:
            folder.mkdir(parents=True)
        except FileExistsError as error:
            raise RunError(f"there is a run {folder.name} already") from error
        run = cls(folder)
        run.vocabulary_file.write_bytes(vocabulary)
        run.update(state="new")
        write_json(folder / "run.json", info.model_dump(by_alias=True))
        return run

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def metrics_file(self) -> Path:
        return self.folder / "metrics.jsonl"

    @property
    def samples_file(self) -> Path:
        return self.folder / "samples.jsonl"

    @property
    def pending_file(self) -> Path:
        """For each checkpoint: the latest metrics, and the losses since the last line of the metrics file."""
        return self.folder / "pending.jsonl"

    @property
    def vocabulary_file(self) -> Path:
        return self.folder / "vocabulary.json"

    @property
    def info(self) -> RunInfo:
        """The request. Raises RunError if run.json is missing, damaged or of another schema."""
        value = _read_json(self.folder / "run.json")
        if value.get("schema") != SCHEMA:
            raise RunError(
                f"the run {self.name} has the schema {value.get('schema')!r}; this charpipe reads {SCHEMA!r}"
            )
        try:
            return RunInfo.model_validate(value)
        except ValidationError as error:
            problem = error.errors()[0]
            raise RunError(
                f"{self.folder / 'run.json'} is damaged: {'.'.join(map(str, problem['loc']))}: {problem['msg']}"
            ) from error

    def rewrite(self, info: RunInfo) -> None:
        """Replace the request atomically: some settings may change when a run is resumed."""
        write_json(self.folder / "run.json", info.model_dump(by_alias=True))

    @property
    def status(self) -> Status:
        """The run's status. A run recorded as running that no process trains was killed: its state is `interrupted`."""
        status = self._recorded()
        if status.state == "running" and not self.is_busy():
            status.state = "interrupted"
        return status

    def _recorded(self) -> Status:
        path = self.folder / "status.json"
        if not path.is_file():
            return Status()
        try:
            return Status.model_validate(_read_json(path))
        except ValidationError as error:
            raise RunError(f"{path} is damaged: {error.errors()[0]['msg']}") from error

    def update(self, **changes: Any) -> None:
        """Change fields of the status atomically."""
        status = self._recorded().model_copy(update=changes)
        write_json(self.folder / "status.json", status.model_dump())

    def is_busy(self) -> bool:
        """Whether a process trains the run now: here, or on another machine as far as the shared store was read."""
        record = read_record(self.folder)
        return self.is_locked() or (record is not None and record.is_leased)

    def is_locked(self) -> bool:
        """Whether a process of this machine holds the run's lock."""
        lock = self._lock()
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        lock.release()
        return False

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run's lock while training. Raises RunError if another process holds it."""
        lock = self._lock()
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise RunError(
                f"{self.name} is being trained by another process; wait for it, or stop it first"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def _lock(self) -> FileLock:
        return FileLock(self.folder / "run.lock", is_singleton=False)

    def checkpoint(self, which: str = "best") -> Path:
        """The folder of the "best" or "last" checkpoint. Raises RunError if there is none."""
        status = self.status
        entry = status.best if which == "best" and status.best else status.last
        if entry is None or "path" not in entry:
            raise RunError(
                f"the run {self.name} has no checkpoint yet ({status.state} at step {status.step}); "
                f"type: charpipe resume {self.name}"
            )
        folder = self.folder / str(entry["path"])
        if not folder.is_dir():
            raise RunError(
                f"the checkpoint {entry['path']} of {self.name} is gone; type: charpipe resume {self.name}"
            )
        return folder

    def has_checkpoint(self, which: str = "best") -> bool:
        """Whether the "best" or "last" checkpoint is in this folder."""
        try:
            return self.checkpoint(which).is_dir()
        except RunError:
            return False

    def result(self, stage: str, digest: str) -> dict[str, Any] | None:
        """The stored result of `stage` for the action `digest`, or None."""
        path = self.folder / "results" / f"{stage}.json"
        if not path.is_file():
            return None
        value = _read_json(path)
        found = value.get("result")
        return found if value.get("action") == digest and isinstance(found, dict) else None

    def kept(self, stage: str) -> dict[str, Any]:
        """The latest stored result of `stage`, for any action; empty if there is none."""
        path = self.folder / "results" / f"{stage}.json"
        found = _read_json(path).get("result") if path.is_file() else None
        return found if isinstance(found, dict) else {}

    def keep_result(self, stage: str, digest: str, result: Mapping[str, Any]) -> None:
        """Store the result of `stage` for the action `digest`."""
        write_json(self.folder / "results" / f"{stage}.json", {"action": digest, "result": dict(result)})


def step_of(checkpoint: Path) -> int:
    """The step of a checkpoint's folder (`step-00001200`); -1 if its name has none."""
    digits = checkpoint.name.rpartition("-")[2]
    return int(digits) if digits.isdigit() else -1


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(f"{path} is not there") from error
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise RunError(f"{path} is not a JSON object")
    return value
