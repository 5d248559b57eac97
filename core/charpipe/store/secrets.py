"""Secrets in URLs: reject them in configured URLs, and remove them from everything shown or written."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, parse_qsl, urlsplit

HIDDEN = "***"
SECRET_PARAMETER = re.compile(
    r"(?i)^(.*[-_.])?(token|secret|password|passwd|pwd|sig|signature|credential|credentials|api[-_]?key|key|auth"
    r"|authorization|access[-_]?key([-_]?id)?|accesstoken|awsaccesskeyid|jwt|sas)$"
)
_USER = re.compile(r"(?i)([a-z][a-z0-9+.-]*:/{1,2})[^\s/?#'\"<>]*@")
_PARAMETER = re.compile(r"([?&#;])([^=&#\s'\"<>]+)=([^&#\s'\"<>]*)")
ADVICE = (
    "charpipe writes its settings down, so a URL must hold no secret; put user and password into ~/.netrc "
    "(or the file that NETRC names) and leave them out of the URL, or download the file and give its path"
)


class SecretInUrlError(ValueError):
    """A URL contains a secret. The message does not repeat it."""


def find_secret(url: str) -> str | None:
    """Which part of `url` is a secret, in words; None if there is no secret."""
    try:
        parts = urlsplit(url)
        pairs = parse_qsl(parts.query, keep_blank_values=True) + parse_qsl(parts.fragment)
    except ValueError:
        return None
    if not parts.netloc:
        # not a valid URL, but still with a secret, such as `https:/user:secret@host`
        return "a password" if _USER.match(url) else None
    if "@" in parts.netloc or _has_password_with_a_slash(parts):
        return "a user name or password"
    named = [name for name, value in pairs if value and SECRET_PARAMETER.match(name)]
    return f"a secret in its parameter {named[0]!r}" if named else None


def refuse_secret(url: str) -> str:
    """Return `url`. Raises SecretInUrlError if it contains a secret."""
    if (found := find_secret(url)) is not None:
        raise SecretInUrlError(f"{without_secret(url)} holds {found}; {ADVICE}")
    return url


def without_secret(url: str) -> str:
    """`url` as it may be shown: if it contains a secret, user, password, parameters and fragment are removed."""
    if find_secret(url) is None:
        return url
    scheme, _, rest = url.partition("://") if "://" in url else url.partition(":")
    place, _, _ = rest.strip("/").rpartition("@")[2].partition("?")
    place = place.partition("#")[0]
    return f"{scheme}://{f'{HIDDEN}@' if '@' in rest else ''}{place}{f'?{HIDDEN}' if '?' in rest else ''}"


def _has_password_with_a_slash(parts: SplitResult) -> bool:
    """Detects `https://user:pass/word@host/file`: an unescaped slash makes part of the password look like a port."""
    port = parts.netloc.rpartition(":")[2] if ":" in parts.netloc.rpartition("]")[2] else ""
    return bool(port) and not port.isdigit() and "@" in f"{parts.path}{parts.query}{parts.fragment}"


def redact(text: str) -> str:
    """`text` with users, passwords and secret parameters in its URLs replaced by `***`."""
    return _PARAMETER.sub(_hide_parameter, _USER.sub(rf"\1{HIDDEN}@", text))


def _hide_parameter(found: re.Match[str]) -> str:
    before, name, _ = found.groups()
    return f"{before}{name}={HIDDEN}" if SECRET_PARAMETER.match(name) else found.group()
