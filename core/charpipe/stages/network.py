"""Errors of the network, and how often a download that they ended is tried again."""

from __future__ import annotations

from charpipe.stages.stage import Retry

NETWORK = (ConnectionError, TimeoutError)


def is_network_error(error: BaseException) -> bool:
    """Whether an error came, directly or as a cause, from a connection that failed."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, NETWORK) or type(cause).__module__.startswith(("requests.", "urllib3.")):
            return True
        cause = cause.__cause__
    return False


DOWNLOAD = Retry(is_network_error, (5, 20))
