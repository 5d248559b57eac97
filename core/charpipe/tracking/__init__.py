"""MLflow, and the only room that imports it. `metrics.jsonl` is the truth; MLflow is filled from it.

    location = locate(config.tracking, workspace.mlflow)          # which MLflow; no import of it yet
    tracker = MlflowTracker(location, config.tracking, folder, description, warn)
    tracker.start(); tracker(event); tracker.finish("FINISHED")   # never raises, never makes training wait
    sync(location, folder)                                        # fills what is missing, any number of times
    download_model(location, "20261123-1041-...", folder)         # a run's model, from the tracking URI alone
"""

from charpipe.tracking.location import Location, locate
from charpipe.tracking.record import Dataset, Description
from charpipe.tracking.settings import TrackingConfig

__all__ = ["Dataset", "Description", "Location", "TrackingConfig", "locate"]
