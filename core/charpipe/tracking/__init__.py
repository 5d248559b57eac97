"""MLflow tracking; the only package that imports MLflow. `metrics.jsonl` is the source of truth, and MLflow is filled
from it.

Importing this package does not import MLflow; `tracker`, `sync`, `models` and `pages` import it on use.
"""

from charpipe.config.settings.tracking import TrackingConfig
from charpipe.tracking.location import Location, locate

__all__ = ["Location", "TrackingConfig", "locate"]
