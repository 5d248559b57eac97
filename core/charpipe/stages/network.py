"""Network errors, and how often a download is retried after one."""

from __future__ import annotations

from charpipe.stages.stage import Retry

NETWORK = (ConnectionError, TimeoutError)


def is_network_error(error: BaseException) -> bool:
    """Whether an error was caused, directly or indirectly, by a failed connection."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, NETWORK) or type(cause).__module__.startswith(("requests.", "urllib3.")):
            return True
        cause = cause.__cause__
    return False


DOWNLOAD = Retry(is_network_error, (5, 20))
