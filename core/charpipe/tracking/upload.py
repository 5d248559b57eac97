"""Upload one run to MLflow: each step is idempotent and adds what is missing.

The tracker calls it during training, `sync` whenever a gap is to be filled; both read the run's folder.
"""

from __future__ import annotations

import contextlib
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from charpipe.errors import RunError
from charpipe.reports.evolution import evolution
from charpipe.reports.report import report
from charpipe.reports.titles import run_title
from charpipe.runs import Run
from charpipe.runs.find import given_name
from charpipe.tracking import experiments, logged_models
from charpipe.tracking import loss_plot as losses
from charpipe.tracking import metadata as describe
from charpipe.tracking.annotations import publish
from charpipe.tracking.client import connect
from charpipe.tracking.corpora import experiment_of
from charpipe.tracking.location import Location
from charpipe.tracking.tail import Tail

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

METRICS_A_CALL = 1000
PAIRS_A_CALL = 100
KEEP: dict[str, Any] = {"drop_whitespace": False, "replace_whitespace": False, "break_on_hyphens": False}
STATUS = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}


class Upload:
    """A run of the workspace and its counterpart in MLflow. Every method raises MLflow's exceptions."""

    def __init__(self, location: Location, run: Run, experiment: str | None = None) -> None:
        self.location, self.run = location, run
        self.info = run.info
        self._chosen = experiment
        self.known: set[tuple[str, int, float]] = set()
        self.client: MlflowClient
        self.experiment_id = self.run_id = ""
        self._metrics, self._samples = Tail(run.metrics_file), Tail(run.samples_file)

    @property
    def ids(self) -> dict[str, str]:
        """The MLflow attributes in the run's status."""
        return {"uri": self.location.key, "experiment_id": self.experiment_id, "run_id": self.run_id}

    def open(self) -> None:
        """Find or create the run in MLflow; describe it; read which of its metrics are there."""
        self.client = connect(self.location)
        self._metrics, self._samples = Tail(self.run.metrics_file), Tail(self.run.samples_file)
        remembered = self.run.status.mlflow
        known_id = remembered.get("run_id") if self.location.is_where(remembered) else None
        found = experiments.find_run(self.client, self.info.name, known_id)
        if found is None:
            self.experiment_id = experiment_of(
                self.client, self.location, self.info.corpus, self._chosen, self.info
            )
            started = next((line["time"] for line in Tail(self.run.metrics_file).lines()), None)
            found = self.client.create_run(
                self.experiment_id,
                start_time=int(started * 1000) if started else None,
                tags=describe.tags(self.info),
                run_name=given_name(self.run) or run_title(self.info),
            )
        elif (
            found.info.run_name == self.info.name
        ):  # as earlier versions named it; keep a name that the user gave
            self.client.update_run(found.info.run_id, name=run_title(self.info))
        self.experiment_id, self.run_id = found.info.experiment_id, found.info.run_id
        experiments.show(self.client, self.client.get_experiment(self.experiment_id))
        self._describe(found)
        publish(self.client, self.run, found)
        self.known = set(self._history(found.data.metrics))

    def metrics(self) -> int:
        """Log the new lines of `metrics.jsonl`; returns the number of metrics logged."""
        from mlflow.entities import Metric

        batch = [Metric(key, value, time, step) for key, value, time, step in self._missing()]
        for start in range(0, len(batch), METRICS_A_CALL):
            part = batch[start : start + METRICS_A_CALL]
            self.client.log_batch(self.run_id, metrics=part)
            self.known |= {(metric.key, metric.step, metric.value) for metric in part}
        self._metrics.advance()
        return len(batch)

    def samples(self) -> None:
        """Log each new sample as `samples/step-00001200.txt`, and the latest in the run's description."""
        latest = None
        for line in self._samples.lines():
            text = f"{line.get('prompt', '')}{line['text']}"
            self.client.log_text(self.run_id, text, f"samples/step-{line['step']:08d}.txt")
            latest = (line["step"], text)
        if latest is not None:
            self.client.set_tag(self.run_id, "mlflow.note.content", _note(*latest))
        self._samples.advance()

    def close(self, state: str) -> None:
        """Log the loss plot, the samples by step, the report, the best and the last checkpoint, and the run's end."""
        self._plot()
        self._writings()
        logged_models.log_checkpoints(self.client, self.run, self.experiment_id, self.run_id)
        status = self.run.status
        for key in ("device", "precision", "parameters", "engine", "engine_reason"):
            if (value := getattr(status, key)) is not None:
                self.client.set_tag(self.run_id, f"charpipe.{key}", str(value))
        if state in STATUS:
            self.client.set_terminated(self.run_id, STATUS[state], end_time=self._ended())

    def _writings(self) -> None:
        """Log all samples in one readable and one machine-readable file, and the report."""
        if self.run.samples_file.is_file():
            self.client.log_artifact(self.run_id, str(self.run.samples_file), "samples")
            self.client.log_text(self.run_id, evolution(self.run), "samples/evolution.md")
        with contextlib.suppress(RunError):  # nothing was measured yet
            self.client.log_text(self.run_id, report(self.run), "report/report.html")

    def _ended(self) -> int | None:
        """The time of the last measurement in milliseconds: filling a gap later does not lengthen the run."""
        times = [line["time"] for line in Tail(self.run.metrics_file).lines() if "time" in line]
        return int(max(times) * 1000) if times else None

    def _describe(self, found: Any) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag, Param, RunTag

        if found.info.status != "RUNNING":
            self.client.update_run(self.run_id, status="RUNNING")
        wanted = describe.params(self.info)
        new = [Param(key, value) for key, value in wanted.items() if key not in found.data.params]
        for start in range(0, len(new), PAIRS_A_CALL):
            self.client.log_batch(self.run_id, params=new[start : start + PAIRS_A_CALL])
        tags = [RunTag(k, v) for k, v in describe.tags(self.info).items() if found.data.tags.get(k) != v]
        if tags:
            self.client.log_batch(self.run_id, tags=tags)
        if not found.inputs.dataset_inputs:
            inputs = [
                DatasetInput(Dataset(**fields), [InputTag("mlflow.data.context", context)])
                for context, fields in describe.datasets(self.info)
            ]
            self.client.log_inputs(self.run_id, datasets=inputs)

    def _history(self, keys: dict[str, float]) -> Iterator[tuple[str, int, float]]:
        for key in keys:
            for metric in self.client.get_metric_history(self.run_id, key):
                yield key, metric.step, metric.value

    def _missing(self) -> Iterator[tuple[str, float, int, int]]:
        for line in self._metrics.lines():
            time = int(float(line.get("time", 0)) * 1000)
            for key, value in line.items():
                if "/" in key and (key, line["step"], float(value)) not in self.known:
                    yield key, float(value), time, line["step"]

    def _plot(self) -> None:
        drawn = losses.draw(self.run)
        if drawn is not None:
            self.client.log_text(self.run_id, drawn, "plots/losses.svg")


def _note(step: int, text: str) -> str:
    wrapped = [part for line in text.splitlines() for part in textwrap.wrap(line, 100, **KEEP) or [""]]
    quoted = "\n".join(f"    {line}" for line in wrapped[:40])
    return f"Sample at step {step:,}:\n\n{quoted}\n"
