"""Reports from a run's folder: an HTML page per run, and comparisons of runs."""
