"""What the errors of object storage mean, in a sentence each. The server's own words are shown only where they are all
there is, shortened and without secrets."""

from __future__ import annotations

import os
import re

from charpipe.errors import StoreAccessError, StoreError, StoreUnreachableError
from charpipe.store.secrets import HIDDEN, redact

CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
"""The environment variables that hold credentials, by URL scheme. obstore knows more of them."""
_SECRET_VARIABLE = re.compile(r"(?i)^(AWS|AZURE|GOOGLE|GCP)_.*(KEY|TOKEN|SECRET|PASSWORD|SAS|CREDENTIALS?)")
_CODE = re.compile(r"<Code>(\w+)</Code>|\"code\":\s*\"(\w+)\"")
_SKEWED = ("RequestTimeTooSkewed", "RequestExpired")
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound")
_UNKNOWN_CREDENTIALS = (
    "SignatureDoesNotMatch",
    "InvalidAccessKeyId",
    "AuthenticationFailed",
    "InvalidToken",
    "ExpiredToken",
)
_NOT_SUPPORTED = ("NotImplemented", "ConditionalHeadersNotSupported")
MAX_WORDS = 160


def explain(url: str, error: Exception) -> StoreError:
    """The error that an exception of obstore stands for."""
    kind, text = type(error).__name__, str(error)
    found = _CODE.search(text)
    code = next(filter(None, found.groups())) if found else ""
    variables = CREDENTIALS.get(url.partition(":")[0], "the environment variables of its credentials")
    if code in _SKEWED:
        return StoreAccessError(
            f"{url} refuses requests, because this machine's clock is wrong; set it by NTP"
        )
    if code in _NO_BUCKET:
        return StoreAccessError(f"{url}: there is no such bucket; create it, or correct url in [store]")
    if code in _NOT_SUPPORTED or kind in ("NotSupportedError", "NotImplementedError"):
        return StoreAccessError(
            f"{url} has no conditional writes, which a shared store needs; name another server"
        )
    if code in _UNKNOWN_CREDENTIALS or kind == "UnauthenticatedError":
        return StoreAccessError(
            f"{url} does not accept these credentials; check {variables} in the environment"
        )
    if kind == "PermissionDeniedError":
        return StoreAccessError(
            f"{url} forbids these credentials ({code or 'no reason given'}); they must be allowed to read, write, list "
            "and delete"
        )
    if "169.254.169.254" in text or "metadata.google.internal" in text:
        return StoreAccessError(f"there are no credentials for {url}; set {variables} in the environment")
    if kind == "GenericError" or isinstance(error, (ConnectionError, TimeoutError)):
        return StoreUnreachableError(f"{url} does not answer ({_words(text)})")
    return StoreError(f"{url} failed: {_words(text)}")


def cannot_open(url: str, error: Exception) -> StoreError:
    """The error for a store that obstore does not even try to reach, because a setting is missing or wrong."""
    variables = CREDENTIALS.get(url.partition(":")[0], "the environment variables of its credentials")
    return StoreAccessError(
        f"{url} cannot be opened ({_words(str(error))}); set {variables} in the environment"
    )


def _words(text: str) -> str:
    """The first line of an error, shortened, without the values of credentials."""
    for name, value in os.environ.items():
        if len(value) > 3 and _SECRET_VARIABLE.match(name):
            text = text.replace(value, HIDDEN)
    line = next((one for one in text.splitlines() if one.strip()), "no reason given")
    line = re.sub(r"\?[^\s]*", "", redact(line))
    line = re.sub(
        r"^Generic \w+ error: |Error performing (\w+ \S+|list request).*? - |HTTP error: ", "", line
    )
    return " ".join(line.split())[:MAX_WORDS].rstrip(" -:.")
