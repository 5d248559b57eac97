"""MLflow, and the only package that imports it. `metrics.jsonl` is the truth; MLflow is filled from it.

Importing this package imports no MLflow; `tracker`, `sync`, `models` and `pages` import it when they work.
"""

from charpipe.config.settings.tracking import TrackingConfig
from charpipe.tracking.location import Location, locate

__all__ = ["Location", "TrackingConfig", "locate"]
