"""Trials on a Ray cluster, through prefect-ray. Ray is imported only where `--runner ray` is typed."""
