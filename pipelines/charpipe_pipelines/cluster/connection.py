"""Connect to the Ray cluster that `[cluster] ray` names."""

from __future__ import annotations

import logging
import os
import platform
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

from charpipe.config.settings.cluster import ClusterConfig
from charpipe.errors import CharpipeError, UsageError
from charpipe_pipelines.cluster import loss

NEEDED = ("ray", "prefect_ray")
START = "ray start --head"
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # private by default
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Ray ends this process when its head has not answered for so long; `HeadWatch` ends the work in order before
    "RAY_gcs_rpc_server_reconnect_timeout_s": "300",
}


def check_request(config: ClusterConfig) -> str:
    """The address of the cluster. Raises UsageError if none is set, or Ray is not installed."""
    if any(find_spec(name) is None for name in NEEDED):
        raise UsageError(
            "--runner ray needs Ray, which is not installed; type: pip install 'charpipe[cluster]'"
        )
    if config.ray is None:
        raise UsageError(
            '--runner ray needs a Ray cluster: set [cluster] ray = "HOST:PORT" in pipelines.toml, or start one on this '
            f"machine with `{START}` and type --set cluster.ray=auto"
        )
    return config.ray


def connect(config: ClusterConfig) -> None:
    """Connect this process to the cluster, once. Raises CharpipeError if it does not answer or has another Ray."""
    address = check_request(config)
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():
        return
    _reach(address)
    try:
        ray.init(address, namespace="charpipe", log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:
        raise _explained(error, address) from error


def head() -> str:
    """HOST:PORT of the head of the cluster that this process is connected to."""
    import ray

    found: str = ray.get_runtime_context().gcs_address
    return found


def disconnect() -> None:
    """Leave the cluster, so that the next `connect` may find another at the same address."""
    import ray

    with suppress(Exception):
        ray.shutdown()


def _reach(address: str) -> None:
    """Raise CharpipeError if nothing listens at an address; Ray itself would wait for long."""
    if address == "auto":
        return
    try:
        loss.connect(address)
    except OSError as error:
        raise CharpipeError(
            f"the Ray cluster at {address} does not answer ({error.strerror or error}); nothing was started: check "
            f"[cluster] ray, or start it there with `{START}`"
        ) from error


def _explained(error: Exception, address: str) -> CharpipeError:
    """What is wrong, in a sentence."""
    text = " ".join(str(error).split())
    if "ersion mismatch" in text:
        return CharpipeError(
            f"the Ray cluster at {address} has another version of Ray or Python than this process ({_here()}): "
            f"{text[:300]}"
        )
    if address == "auto" and isinstance(error, ConnectionError):
        return CharpipeError(
            f"no Ray cluster runs on this machine; start one with `{START}`, or set [cluster] ray to its address"
        )
    return CharpipeError(f"the Ray cluster at {address} cannot be used ({text[:300]}); nothing was started")


def _here() -> str:
    import ray

    version: Any = ray.__version__
    return f"Ray {version}, Python {platform.python_version()}"
